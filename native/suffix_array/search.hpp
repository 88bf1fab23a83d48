// Which suffixes of a segment begin with given tokens: one question at a time.
#pragma once

#include <compare>
#include <cstdint>
#include <span>

#include "suffix_array/segment.hpp"

namespace potstill {

// Where the first suffix not below what is looked for may stand, and the first one above it.
struct Bounds {
    Range lower;
    Range upper;

    explicit Bounds(Range range) : lower(range), upper(range) {}
    Bounds(Range lower_in, Range upper_in) : lower(lower_in), upper(upper_in) {}

    bool is_found() const { return lower.hi < upper.lo; }
    bool is_settled() const { return lower.is_empty() && upper.is_empty(); }
    void learn(std::uint64_t rank, std::strong_ordering order);
    // Once settled. In a file whose order is wrong the two may have crossed: no suffix then.
    Range range() const { return {lower.lo, upper.lo < lower.lo ? lower.lo : upper.lo}; }
};

inline void Bounds::learn(std::uint64_t rank, std::strong_ordering order) {
    // Not below: the lower bound is at the rank or before; not above: the upper bound is behind it.
    if (order >= 0 && rank < lower.hi) lower.hi = rank < lower.lo ? lower.lo : rank;
    if (order > 0 && rank < upper.hi) upper.hi = rank < upper.lo ? upper.lo : rank;
    if (order <= 0 && rank >= upper.lo) upper.lo = rank + 1 > upper.hi ? upper.hi : rank + 1;
    if (order < 0 && rank >= lower.lo) lower.lo = rank + 1 > lower.hi ? lower.hi : rank + 1;
}

// A range of suffixes that share their first `depth` tokens.
struct Prefix {
    Range range;
    std::uint64_t depth = 0;
};

// As much of a query as the tables answer: nothing, its first token, or its first two.
Prefix look_up(const Segment& segment, std::span<const Token> ids);

// Ids < vocab_size. No ids: every suffix.
Range find(const Segment& segment, std::span<const Token> ids);

// Of the suffixes of a range that share `depth` tokens, those that go on with the token.
Range narrow(const Segment& segment, Prefix prefix, Token next);

}  // namespace potstill
