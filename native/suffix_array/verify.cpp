#include "suffix_array/verify.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "suffix_array/diagonals.hpp"
#include "suffix_array/error.hpp"

namespace potstill {
namespace {

constexpr std::uint64_t kReportEvery = 1 << 14;
constexpr std::uint64_t kLongRun = 64;
constexpr std::uint64_t kGroup = 16;
constexpr std::uint64_t kAhead = 24;
constexpr int kRunBits = 16;

void verify_blocks(const MappedFile& file, Work& work) {
    for (std::uint64_t block = 0; block < file.num_blocks(); ++block) {
        file.verify_block(block);
        work.add(std::min<std::uint64_t>(kChecksumBlock, file.size() - block * kChecksumBlock));
    }
}

void verify_blocks(const Segment& segment, Work& work) {
    for (const auto& [name, record] : segment.files()) {
        const MappedFile* mapped = segment.mapped(name);
        mapped != nullptr ? verify_blocks(*mapped, work) : verify_blocks(segment.map(name), work);
    }
}

template <int Width>
class Verification {
  public:
    Verification(const Segment& segment, const Text<Width>& text, Work& work)
        : segment_(segment), text_(text), work_(work) {}

    // Documents end where their table says, and nowhere else.
    void verify_stream() {
        std::uint64_t document = 0;
        for (std::uint64_t position = 0; position < text_.size; ++position) {
            const Symbol symbol = text_.at(position);
            if (symbol > segment_.shape().vocab_size) refuse_token(position, "is no id of the vocabulary");
            if (symbol == 0) {
                if (document == segment_.shape().num_documents)
                    refuse_token(position, "ends a document too many");
                if (segment_.document_bounds(document).hi != position) {
                    refuse("documents.bin", document * 24, "the document does not end where its text does");
                }
                ++document;
            }
            report(position);
        }
        const std::uint64_t first = segment_.document_row(0).first_symbol;
        if (document != segment_.shape().num_documents || first != 0) {
            refuse("documents.bin", 0, "the documents do not cover the stream");
        }
    }

    void verify_order() {
        std::optional<std::uint64_t> before;
        for (std::uint64_t rank = 0; rank < segment_.num_tokens(); ++rank) {
            const std::uint64_t position = segment_.position(rank);
            if (rank + kAhead < segment_.num_tokens()) text_.prefetch(segment_.position(rank + kAhead));
            const Symbol first = text_.at(position);
            if (first == 0) refuse_rank(rank, "a suffix begins at the end of a document");
            if (before && !is_above(*before, position)) {
                refuse_rank(rank, "the suffix is not above the one before");
            }
            if (segment_.has_tables()) verify_tables(rank, position, first);
            before = position;
            report(rank);
        }
        if (segment_.has_tables() && next_bigram_ != *segment_.shape().num_bigrams) {
            refuse("bigram_seconds.bin", next_bigram_ * Width, "has bigrams that do not occur");
        }
    }

  private:
    // Equal up to their documents' ends, they are in the order of the stream.
    bool is_above(std::uint64_t low, std::uint64_t high) {
        std::uint64_t shared = common_run(low, high, 0, kLongRun);
        if (shared == kLongRun) {
            const std::uint64_t difference = high - low;
            const std::uint64_t known = runs_.end_of_run(difference, low + kLongRun) - low;
            shared = common_run(low, high, known, text_.size);
            const std::uint64_t found = known > kLongRun ? kLongRun : shared;
            runs_.learn(difference, low, low + found, low + shared);
        }
        const Symbol below = text_.at(low + shared), above = text_.at(high + shared);
        return below < above || (below == above && low < high);
    }

    // Symbols that both suffixes share, when `from` are known to be: up to a document's end, at most `limit`.
    std::uint64_t common_run(std::uint64_t low, std::uint64_t high, std::uint64_t from,
                             std::uint64_t limit) const {
        const std::uint64_t room = text_.size - std::max(low, high);
        std::uint64_t i = from;
        for (; i + kGroup <= room && i < limit; i += kGroup) {
            text_.file->touch((low + i) * Width, kGroup * Width);
            text_.file->touch((high + i) * Width, kGroup * Width);
            Symbol differs = 0, has_end = 0;
            for (std::uint64_t k = 0; k < kGroup; ++k) {
                const Symbol symbol = text_.symbols[low + i + k];
                differs |= symbol ^ text_.symbols[high + i + k];
                has_end |= symbol == 0 ? 1 : 0;
            }
            if ((differs | has_end) != 0) break;
        }
        while (i < limit && agree(low, high, i)) ++i;
        return i;
    }

    bool agree(std::uint64_t low, std::uint64_t high, std::uint64_t shared) const {
        const Symbol symbol = text_.at(low + shared);
        return symbol != 0 && symbol == text_.at(high + shared);
    }

    // The token's range holds the rank, and each new pair of symbols is the next of the bigrams.
    void verify_tables(std::uint64_t rank, std::uint64_t position, Symbol first) {
        const Range own = segment_.unigram(first - 1);
        if (rank < own.lo || rank >= own.hi) {
            refuse("unigrams.bin", (first - 1) * std::uint64_t{8}, "a token's first rank is wrong");
        }
        const Symbol second = text_.at(position + 1);
        if (next_bigram_ > 0 && first == first_ && second == second_) return;
        const Range row = segment_.bigram_row(first - 1);
        const bool is_next = next_bigram_ >= row.lo && next_bigram_ < row.hi &&
                             segment_.template bigram_seconds<Width>().at(next_bigram_) == second &&
                             segment_.bigram_range(first - 1, next_bigram_).lo == rank;
        if (!is_next) refuse("bigram_seconds.bin", next_bigram_ * Width, "the bigram or its rank is wrong");
        ++next_bigram_;
        first_ = first;
        second_ = second;
    }

    void report(std::uint64_t done) {
        if ((done + 1) % kReportEvery == 0) work_.add(kReportEvery);
    }

    [[noreturn]] void refuse(const std::string& name, std::uint64_t offset, const char* what) const {
        throw DamagedFile(segment_.path(name), offset, what);
    }
    [[noreturn]] void refuse_token(std::uint64_t position, const char* what) const {
        refuse("tokens.bin", position * Width, what);
    }
    [[noreturn]] void refuse_rank(std::uint64_t rank, const char* what) const {
        refuse("suffixes.bin", rank * static_cast<std::uint64_t>(segment_.shape().position_bits) / 8, what);
    }

    const Segment& segment_;
    Text<Width> text_;
    Work& work_;
    Diagonals runs_{kRunBits};
    std::uint64_t next_bigram_ = 0;
    Symbol first_ = 0, second_ = 0;
};

}  // namespace

void verify(const Segment& segment, Work& work) {
    verify_blocks(segment, work);
    segment.dispatch([&]<int Width>(const Text<Width>& text) {
        Verification<Width> verification(segment, text, work);
        verification.verify_stream();
        verification.verify_order();
    });
}

}  // namespace potstill
