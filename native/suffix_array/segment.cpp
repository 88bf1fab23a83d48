#include "suffix_array/segment.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "suffix_array/error.hpp"

namespace potstill {
namespace {

// Keeps every product of a position and a number of bits or bytes far from the end of 64 bits.
constexpr std::uint64_t kMostSymbols = std::uint64_t{1} << 48;
constexpr std::uint64_t kDocumentRowBytes = 24;

void require(bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
}

void check(const SegmentShape& shape) {
    require(shape.symbol_bytes >= 1 && shape.symbol_bytes <= 4, "symbol_bytes must be 1, 2, 3 or 4");
    require(shape.num_symbols < kMostSymbols && shape.num_tokens <= shape.num_symbols &&
                shape.num_documents == shape.num_symbols - shape.num_tokens,
            "num_symbols must be num_tokens and num_documents together");
    require(shape.vocab_size >= 1 && shape.vocab_size < 0xFFFFFFFF, "vocab_size must be in 1 .. 2^32 - 2");
    const std::uint64_t last = shape.num_symbols == 0 ? 0 : shape.num_symbols - 1;
    require(shape.position_bits == packed_bits(last), "position_bits must be the bits of the last position");
    require(shape.num_bigrams.value_or(0) <= shape.num_tokens, "num_bigrams must not exceed num_tokens");
}

// A table of first ranks: from 0, never falling, to `last`.
const std::uint64_t* checked_table(const MappedFile& file, std::uint64_t last) {
    file.touch_all();
    const std::uint64_t count = file.size() / 8;
    const auto* table = reinterpret_cast<const std::uint64_t*>(file.bytes());
    for (std::uint64_t i = 0; i < count; ++i) {
        if (table[i] < (i == 0 ? 0 : table[i - 1]) || table[i] > last) {
            throw DamagedFile(file.path(), i * 8,
                              "the table's numbers must not fall, nor exceed " + std::to_string(last));
        }
    }
    if (table[0] != 0) throw DamagedFile(file.path(), 0, "the table must begin with 0");
    if (table[count - 1] != last) {
        throw DamagedFile(file.path(), (count - 1) * 8, "the table must end with " + std::to_string(last));
    }
    return table;
}

}  // namespace

Segment::Segment(std::string folder, const SegmentShape& shape, Files files)
    : folder_(std::move(folder)), shape_(shape), files_(std::move(files)) {
    check(shape_);
    const auto width = static_cast<std::uint64_t>(shape_.symbol_bytes);
    token_file_ = map_sized("tokens.bin", shape_.num_symbols * width + kPaddingBytes);
    document_file_ = map_sized("documents.bin", (shape_.num_documents + 1) * kDocumentRowBytes);
    suffix_file_ = map_sized("suffixes.bin", packed_bytes(shape_.num_tokens, shape_.position_bits));
    suffixes_ = {suffix_file_.bytes(), shape_.position_bits};
    if (has_tables()) map_tables();
}

void Segment::map_tables() {
    const std::uint64_t num_bigrams = *shape_.num_bigrams;
    const auto width = static_cast<std::uint64_t>(shape_.symbol_bytes);
    unigram_file_ = map_sized("unigrams.bin", (shape_.vocab_size + std::uint64_t{1}) * 8);
    row_file_ = map_sized("bigram_rows.bin", (shape_.vocab_size + std::uint64_t{1}) * 8);
    second_file_ = map_sized("bigram_seconds.bin", num_bigrams * width + kPaddingBytes);
    rank_bytes_ = shape_.num_tokens < (std::uint64_t{1} << 32) ? 4 : 8;
    rank_file_ = map_sized("bigram_ranks.bin", num_bigrams * rank_bytes_);
    unigrams_ = checked_table(unigram_file_, shape_.num_tokens);
    bigram_rows_ = checked_table(row_file_, num_bigrams);
}

const FileRecord& Segment::record(const std::string& name) const {
    const auto found = files_.find(name);
    if (found == files_.end()) throw std::invalid_argument("the record of the files has no " + name);
    return found->second;
}

const MappedFile* Segment::mapped(const std::string& name) const {
    for (const MappedFile* file : {&token_file_, &document_file_, &suffix_file_, &unigram_file_, &row_file_,
                                   &second_file_, &rank_file_}) {
        if (file->path() == path(name)) return file;
    }
    return nullptr;
}

MappedFile Segment::map(const std::string& name) const { return MappedFile(path(name), record(name)); }

MappedFile Segment::map_sized(const std::string& name, std::uint64_t bytes) const {
    const std::uint64_t recorded = record(name).bytes;
    if (recorded != bytes) {
        throw DamagedFile(path(name), std::min(recorded, bytes),
                          "is recorded with " + std::to_string(recorded) +
                              " bytes, but the numbers of the segment make " + std::to_string(bytes));
    }
    return map(name);
}

void Segment::refuse_position(std::uint64_t rank) const {
    throw DamagedFile(suffix_file_.path(), suffixes_.byte_of(rank),
                      "the position " + std::to_string(suffixes_[rank]) + " is beyond the end of the stream");
}

void Segment::refuse_bigram(std::uint64_t bigram) const {
    throw DamagedFile(rank_file_.path(), bigram * rank_bytes_,
                      "the bigram's ranks are outside of its first token's");
}

Symbol Segment::symbol(std::uint64_t position) const {
    return dispatch([&](const auto& text) { return text.at(position); });
}

std::uint64_t Segment::bigram_rank(std::uint64_t bigram) const {
    rank_file_.touch(bigram * rank_bytes_, rank_bytes_);
    std::uint64_t rank = 0;
    std::memcpy(&rank, rank_file_.bytes() + bigram * rank_bytes_, rank_bytes_);
    return rank;
}

void Segment::prefetch_bigram_rank(std::uint64_t bigram) const {
    __builtin_prefetch(rank_file_.bytes() + bigram * rank_bytes_);
}

Range Segment::bigram_range(Token first, std::uint64_t bigram) const {
    const Range row = bigram_row(first);
    const Range outer = unigram(first);
    const std::uint64_t lo = bigram_rank(bigram);
    const std::uint64_t hi = bigram + 1 < row.hi ? bigram_rank(bigram + 1) : outer.hi;
    if (lo < outer.lo || hi < lo || hi > outer.hi) refuse_bigram(bigram);
    return {lo, hi};
}

DocumentRow Segment::document_row(std::uint64_t document) const {
    const std::uint64_t offset = document * kDocumentRowBytes;
    document_file_.touch(offset, kDocumentRowBytes);
    DocumentRow row;
    std::memcpy(&row, document_file_.bytes() + offset, kDocumentRowBytes);
    return row;
}

void Segment::prefetch_document_row(std::uint64_t document) const {
    __builtin_prefetch(document_file_.bytes() + document * kDocumentRowBytes);
}

void Segment::check_holds(std::uint64_t document, std::uint64_t position) const {
    const Range bounds = document_bounds(document);
    if (position < bounds.lo || position > bounds.hi) {
        throw DamagedFile(document_file_.path(), document * kDocumentRowBytes,
                          "no document holds position " + std::to_string(position));
    }
}

Range Segment::document_bounds(std::uint64_t document) const {
    const std::uint64_t first = document_row(document).first_symbol;
    const std::uint64_t next = document_row(document + 1).first_symbol;
    if (next <= first || next > shape_.num_symbols) {
        throw DamagedFile(document_file_.path(), document * kDocumentRowBytes,
                          "the document's bounds do not fit the stream");
    }
    return {first, next - 1};
}

}  // namespace potstill
