// Where a text occurs in an index: the longest match from each of its tokens, and counts of its parts.
#pragma once

#include <cstdint>
#include <vector>

#include "suffix_array/members.hpp"

namespace potstill {

// Tokens [start, start + length) of a text.
struct Part {
    std::uint64_t start = 0;
    std::uint64_t length = 0;
};

class TextMatches {
  public:
    // One interleaved search for each token and member; ids < vocab_size. The text must outlive this.
    TextMatches(Members members, Query text, int threads);

    // For each token the length of the longest n-gram from it on that occurs, a positive number of times.
    const std::vector<std::uint64_t>& lengths() const { return lengths_; }

    // The parts' ranges in each member. A part may be longer than what occurs: its ranges are empty then.
    RangeTable find(const std::vector<Part>& parts) const;

    // Matches that no other contains, at least so long.
    std::vector<Part> maximal(std::uint64_t min_length) const;

  private:
    void combine();
    void shorten(const std::vector<std::uint64_t>& open);

    Members members_;
    Query text_;
    int threads_;
    std::vector<std::vector<Match>> matches_;  // [member][token]
    std::vector<std::uint64_t> lengths_;
};

}  // namespace potstill
