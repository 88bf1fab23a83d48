// The order of all suffixes of a text of symbols, in time linear in its length whatever repeats it holds.
//
// Nong, Zhang and Chan 2009, "Linear Suffix Array Construction by Almost Pure Induced-Sorting" (SA-IS), for a
// text of many documents: the symbol 0 ends one, and counts as smaller than every token and, of two, as
// smaller where it stands earlier. So suffixes are compared up to their document's end and, if equal that
// far, by position; and the order of the ends is known before anything is sorted.
#pragma once

#include <cstdint>

#include "suffix_array/work.hpp"

namespace potstill {

// Most symbols of one text; positions are kept in 31 bits.
inline constexpr std::uint64_t kMostSortedSymbols = (std::uint64_t{1} << 31) - 64;

// The text and the room to sort it in.
struct SortedText {
    // num_symbols symbols of `width` bytes, the first and the last of them 0, and 8 readable bytes on either
    // side of them.
    const unsigned char* symbols;
    int width;
    std::int32_t num_symbols;
    std::int32_t num_values;  // every symbol is below
    // [num_values + 1] how many symbols of the text are smaller.
    const std::int32_t* starts;
    // [num_symbols + kSortSlack], all 0 before. After: entries [starts[1], num_symbols) are the positions of
    // the suffixes that begin with a token, in order.
    std::int32_t* suffixes;
};

inline constexpr std::int32_t kSortSlack = 8;

// Adds `share` units to `work`.
void sort_suffixes(const SortedText& text, Work& work, std::uint64_t share);

// Bytes that sort_suffixes allocates itself, at most.
std::uint64_t sort_bytes(std::uint64_t num_symbols, std::uint64_t num_values);

}  // namespace potstill
