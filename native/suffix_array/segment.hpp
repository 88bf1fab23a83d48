// One immutable segment of an index: a stream of documents, the order of its suffixes, and tables of their
// first one and two tokens. Everything read from a file is verified and checked against its range, so that a
// file made to harm gives DamagedFile or a wrong answer, never a read outside of the files.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "suffix_array/mapped_file.hpp"
#include "suffix_array/packed.hpp"
#include "suffix_array/text.hpp"

namespace potstill {

// Ranks [lo, hi) of suffixes.
struct Range {
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;

    std::uint64_t size() const { return hi - lo; }
    bool is_empty() const { return lo >= hi; }
    bool operator==(const Range&) const = default;
};

// What segment.json says.
struct SegmentShape {
    int symbol_bytes = 0;
    std::uint64_t num_symbols = 0;
    std::uint64_t num_tokens = 0;
    std::uint64_t num_documents = 0;
    std::uint32_t vocab_size = 0;
    int position_bits = 0;
    std::optional<std::uint64_t> num_bigrams;  // none: the segment has no tables
};

struct DocumentRow {
    std::uint64_t first_symbol = 0;
    std::uint64_t byte_start = 0;
    std::uint32_t source = 0;
    std::uint32_t record = 0;
};

class Segment {
  public:
    using Files = std::map<std::string, FileRecord>;

    // Maps the files and verifies the tables' rows; the rest is verified as it is read.
    Segment(std::string folder, const SegmentShape& shape, Files files);

    const SegmentShape& shape() const { return shape_; }
    const std::string& folder() const { return folder_; }
    std::uint64_t num_tokens() const { return shape_.num_tokens; }
    bool has_tables() const { return shape_.num_bigrams.has_value(); }

    // Of the suffix of that rank, rank < num_tokens.
    std::uint64_t position(std::uint64_t rank) const {
        const std::uint64_t offset = suffixes_.byte_of(rank);
        suffix_file_.touch(offset, 8);
        const std::uint64_t position = suffixes_[rank];
        if (position >= shape_.num_symbols) [[unlikely]]
            refuse_position(rank);
        return position;
    }
    void prefetch_position(std::uint64_t rank) const { suffixes_.prefetch(rank); }

    template <int Width>
    Text<Width> text() const {
        return {Symbols<Width>{token_file_.bytes()}, &token_file_, shape_.num_symbols};
    }
    // The second symbols of all bigrams, sorted within the row of their first token.
    template <int Width>
    Text<Width> bigram_seconds() const {
        return {Symbols<Width>{second_file_.bytes()}, &second_file_, shape_.num_bigrams.value_or(0)};
    }
    // Call `body` with the Text<Width> of the stream.
    template <typename Body>
    decltype(auto) dispatch(Body&& body) const {
        switch (shape_.symbol_bytes) {
            case 1:
                return body(text<1>());
            case 2:
                return body(text<2>());
            case 3:
                return body(text<3>());
            default:
                return body(text<4>());
        }
    }
    // The symbol at a position of the stream; 0 beyond its end.
    Symbol symbol(std::uint64_t position) const;

    // With tables, id < vocab_size: of suffixes that begin with the token.
    Range unigram(Token id) const { return {unigrams_[id], unigrams_[id + std::uint64_t{1}]}; }
    void prefetch_unigram(Token id) const { __builtin_prefetch(unigrams_ + id); }
    // The bigrams that begin with the token, in the order of their second symbol.
    Range bigram_row(Token id) const { return {bigram_rows_[id], bigram_rows_[id + std::uint64_t{1}]}; }
    void prefetch_bigram_row(Token id) const { __builtin_prefetch(bigram_rows_ + id); }
    // Of suffixes that begin with a bigram of the row of `first`.
    Range bigram_range(Token first, std::uint64_t bigram) const;
    void prefetch_bigram_rank(std::uint64_t bigram) const;

    // document <= num_documents; the last row stands for the end of the stream.
    DocumentRow document_row(std::uint64_t document) const;
    void prefetch_document_row(std::uint64_t document) const;
    // Throws DamagedFile unless the document holds that position of the stream.
    void check_holds(std::uint64_t document, std::uint64_t position) const;
    // Positions of a document's tokens, without the symbol that ends it.
    Range document_bounds(std::uint64_t document) const;

    const Files& files() const { return files_; }
    std::string path(const std::string& name) const { return folder_ + "/" + name; }
    // The file if queries read it: those stay mapped when the folder is gone.
    const MappedFile* mapped(const std::string& name) const;
    MappedFile map(const std::string& name) const;

  private:
    const FileRecord& record(const std::string& name) const;
    MappedFile map_sized(const std::string& name, std::uint64_t bytes) const;
    void map_tables();
    [[noreturn]] void refuse_position(std::uint64_t rank) const;
    [[noreturn]] void refuse_bigram(std::uint64_t bigram) const;
    std::uint64_t bigram_rank(std::uint64_t bigram) const;

    std::string folder_;
    SegmentShape shape_;
    Files files_;
    MappedFile token_file_, document_file_, suffix_file_, unigram_file_, row_file_, second_file_, rank_file_;
    Packed suffixes_;
    const std::uint64_t* unigrams_ = nullptr;
    const std::uint64_t* bigram_rows_ = nullptr;
    std::uint64_t rank_bytes_ = 4;
};

}  // namespace potstill
