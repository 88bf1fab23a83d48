// Where a stream of documents says something twice: read off the suffix order, without a search.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace potstill {

// A suffix order over a stream of symbols, both as they stand on the disk (padding included).
struct SuffixOrder {
    std::span<const unsigned char> tokens;
    std::span<const unsigned char> suffixes;
    int symbol_bytes = 1;
    int position_bits = 1;
    std::uint64_t num_symbols = 0;
    std::uint64_t num_tokens = 0;
};

struct SymbolSpan {
    std::uint64_t start = 0;
    std::uint64_t stop = 0;
    bool operator==(const SymbolSpan&) const = default;
};

// Spans in the order of the stream, none touching the next.
struct Repeats {
    std::vector<SymbolSpan> repeated;  // every symbol that stands in a run of `length` tokens found twice
    std::vector<SymbolSpan> later;     // the same without the first copy of each run in the stream
};

// Runs of `length` tokens, none across a document's end, that stand at two positions or more (these may
// overlap). Holds two bits a symbol; the text is read once, in suffix order. std::invalid_argument when the
// sizes do not fit together or `length` is 0, DamagedFile when a suffix points outside of the stream.
Repeats find_repeats(const SuffixOrder& order, std::uint64_t length, int threads);

}  // namespace potstill
