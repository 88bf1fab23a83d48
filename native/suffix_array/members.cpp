#include "suffix_array/members.hpp"

namespace potstill {

std::int64_t count_of(Members members, std::span<const Range> ranges) {
    std::int64_t sum = 0;
    for (std::size_t m = 0; m < members.size(); ++m) sum += members[m].count(ranges[m]);
    return sum;
}

RangeTable find_all(Members members, std::span<const Query> queries) {
    RangeTable table(queries.size(), members.size());
    for (std::size_t m = 0; m < members.size(); ++m) {
        const std::vector<Range> found = find_ranges(*members[m].segment, queries);
        for (std::size_t q = 0; q < queries.size(); ++q) table.row(q)[m] = found[q];
    }
    return table;
}

std::vector<ContextRange> context_ranges(Members members, std::span<const Range> ranges) {
    std::vector<ContextRange> contexts;
    for (std::size_t m = 0; m < members.size(); ++m) {
        contexts.push_back({members[m].segment.get(), members[m].sign, ranges[m]});
    }
    return contexts;
}

}  // namespace potstill
