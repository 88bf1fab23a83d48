// What comes after a context: every distinct symbol behind it, with its exact count.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "suffix_array/segment.hpp"

namespace potstill {

// The suffixes of one segment that begin with a context of `depth` tokens.
struct ContextRange {
    const Segment* segment = nullptr;
    std::int64_t sign = 1;  // -1: its documents are taken away
    Range range;
};

struct Continuation {
    Symbol symbol = 0;  // 0: the document ends
    std::int64_t count = 0;
};

struct Continuations {
    std::vector<Continuation> counts;  // by symbol, ascending; none is 0
    std::uint64_t unresolved = 0;      // occurrences that no symbol was counted for, of either sign
};

// Suffixes of a range are sorted, so those with one symbol at `depth` stand together: intervals whose ends
// differ are split until none is left. `budget`: the most suffixes looked at, widest intervals first; 0: all
// that are needed. `context` gives the tables' answer after nothing (every token, no document end) and after
// one token.
Continuations continuations(std::span<const ContextRange> ranges, std::span<const Token> context,
                            std::uint64_t budget);

}  // namespace potstill
