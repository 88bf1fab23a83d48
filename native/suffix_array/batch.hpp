// Many searches of one segment at once: a group of them is in flight, and while one waits for memory the
// others go on. A dependent load costs a cache miss; here it is asked for before it is needed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "suffix_array/search.hpp"

namespace potstill {

using Query = std::span<const Token>;

// The longest beginning of a query that occurs, and one suffix that begins so (any rank if the length is 0).
struct Match {
    std::uint64_t length = 0;
    std::uint64_t rank = 0;
};

// The range of each query; ids < vocab_size.
std::vector<Range> find_ranges(const Segment& segment, std::span<const Query> queries);

// The same when for each query a suffix is known that begins with it: the search gallops away from there,
// which is short where few suffixes do.
std::vector<Range> find_ranges_around(const Segment& segment, std::span<const Query> queries,
                                      std::span<const std::uint64_t> ranks);

// For each position first, first + 1 .. of a text, `count` of them, the longest match that begins there.
std::vector<Match> find_longest(const Segment& segment, Query text, std::uint64_t first, std::uint64_t count);

}  // namespace potstill
