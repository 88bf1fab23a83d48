// The questions that an index answers, over all of its segments. Any number of threads may ask at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "suffix_array/members.hpp"
#include "suffix_array/scores.hpp"

namespace potstill {

// Rows of different lengths in a row: row i is ids[starts[i] .. starts[i + 1]).
struct Ragged {
    std::span<const Token> ids;
    std::span<const std::int64_t> starts;

    std::size_t size() const { return starts.size() - 1; }
    Query operator[](std::size_t row) const {
        return ids.subspan(static_cast<std::size_t>(starts[row]),
                           static_cast<std::size_t>(starts[row + 1] - starts[row]));
    }
};

// Ids ascending, vocab_size last: the document ends. Counts are positive.
struct Distribution {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> counts;
    std::uint64_t unresolved = 0;
};

struct Distributions {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> counts;
    std::vector<std::int64_t> row_starts;
};

// A match that no other contains.
struct Span {
    std::uint64_t start = 0;
    std::uint64_t length = 0;
    std::int64_t count = 0;
};

class Reader {
  public:
    // The same vocab_size in all segments; signs 1 or -1. Without segments every count is 0.
    Reader(const std::vector<std::shared_ptr<const Segment>>& segments, const std::vector<int>& signs);

    // Throws std::invalid_argument naming an id that is not below vocab_size, or a start that does not fit.
    // Every method below does so first.
    void check(Query ids) const;
    void check(const Ragged& rows) const;

    std::int64_t count(Query ids) const;
    std::vector<std::int64_t> count(const Ragged& rows, int threads) const;
    // In each segment.
    std::vector<Range> ranges(Query ids) const;
    Distribution next(Query ids, std::uint64_t budget) const;
    Distributions next(const Ragged& rows, int threads) const;
    std::vector<Score> score(Query text, std::uint64_t max_suffix, int threads) const;
    // No row may be empty.
    std::vector<Score> score_last(const Ragged& rows, int threads) const;
    std::vector<std::uint64_t> longest_matches(Query text, int threads) const;
    std::vector<Span> spans(Query text, std::uint64_t min_length, int threads) const;

    // Throws std::out_of_range.
    const Segment& segment(std::size_t number) const;
    std::size_t num_segments() const { return members_.size(); }
    std::uint32_t vocab_size() const { return vocab_size_; }
    Members members() const { return members_; }
    Distribution to_distribution(const Continuations& found) const;

  private:
    std::vector<Member> members_;
    std::uint32_t vocab_size_ = 0xFFFFFFFE;
};

}  // namespace potstill
