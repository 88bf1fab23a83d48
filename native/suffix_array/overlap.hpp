// How far beyond its end a part must be sorted when it ends inside a document.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "suffix_array/symbols.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

// How many symbols from `last` on, up to `end`, also stand at a position in [first, last), or one more than
// `most` if they are more. Two suffixes that begin in [first, last] differ no later than so many symbols
// behind `last`. Linear time (Knuth, Morris and Pratt 1977), 4 bytes for each symbol that matches.
template <int Width>
std::uint64_t longest_match(Symbols<Width> text, std::uint64_t first, std::uint64_t last, std::uint64_t end,
                            std::uint64_t most, Work& work) {
    constexpr std::uint64_t kBlock = 1 << 20;
    const auto wanted = [&](std::uint64_t i) { return text[last + i]; };
    // borders[j]: the longest beginning of the first j wanted symbols that is also their end, but not all of
    // them.
    std::vector<std::uint32_t> borders{0, 0};
    std::uint64_t matched = 0, longest = 0;
    for (std::uint64_t p = first; p < end; ++p) {
        while (matched > 0 && text[p] != wanted(matched)) matched = borders[matched];
        if (text[p] == wanted(matched)) ++matched;
        if (p + 1 - matched >= last) break;
        longest = std::max(longest, matched);
        if (matched > most || last + matched == end) break;
        if (matched == borders.size()) {
            std::uint32_t border = borders.back();
            while (border > 0 && wanted(border) != wanted(matched - 1)) border = borders[border];
            borders.push_back(border + (wanted(border) == wanted(matched - 1) ? 1 : 0));
        }
        if (p % kBlock == 0) work.add(0);
    }
    return longest;
}

}  // namespace potstill
