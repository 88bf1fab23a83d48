// The ∞-gram: a token after the longest suffix of what stands before it that occurs (Liu et al. 2024,
// arXiv:2401.17377, section 2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "suffix_array/members.hpp"

namespace potstill {

// P(token) = count / context_count; count is 0 where the token never follows the suffix.
struct Score {
    std::uint64_t suffix_len = 0;    // tokens of the longest suffix that occurs
    std::int64_t context_count = 0;  // how often it does
    std::int64_t count = 0;          // how often the token follows it
    bool is_sparse = false;          // one thing alone follows it; a document's end is one
};

// A suffix of a context and its ranges in each member.
struct Suffix {
    std::uint64_t length = 0;
    std::vector<Range> ranges;
};

// Every token of a text after all before it, suffixes of at most `max_suffix` tokens; ids < vocab_size.
std::vector<Score> score_text(Members members, Query text, std::uint64_t max_suffix, int threads);

// The last token of each query after those before it; no query is empty.
std::vector<Score> score_last(Members members, std::span<const Query> queries, int threads);

// The longest suffix of each context that occurs, shorter than `limits[i]` tokens.
std::vector<Suffix> longest_suffixes(Members members, std::span<const Query> contexts,
                                     std::span<const std::uint64_t> limits);

}  // namespace potstill
