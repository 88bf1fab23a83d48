// The segments of an index together: what occurs is what the positive ones hold less what the negative ones
// do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "suffix_array/batch.hpp"
#include "suffix_array/continuations.hpp"

namespace potstill {

struct Member {
    std::shared_ptr<const Segment> segment;
    std::int64_t sign = 1;  // -1: a copy of documents that were deleted

    std::int64_t count(Range range) const {
        return range.is_empty() ? 0 : sign * static_cast<std::int64_t>(range.size());
    }
};

using Members = std::span<const Member>;

// Ranges of many queries in each member: row q is ranges[q * members .. (q + 1) * members).
struct RangeTable {
    RangeTable(std::size_t num_queries, std::size_t num_members)
        : members(num_members), ranges(num_queries * num_members) {}

    std::span<Range> row(std::size_t query) { return {ranges.data() + query * members, members}; }
    std::span<const Range> row(std::size_t query) const { return {ranges.data() + query * members, members}; }

    std::size_t members;
    std::vector<Range> ranges;
};

// The signed sum of one query's ranges.
std::int64_t count_of(Members members, std::span<const Range> ranges);

RangeTable find_all(Members members, std::span<const Query> queries);

std::vector<ContextRange> context_ranges(Members members, std::span<const Range> ranges);

}  // namespace potstill
