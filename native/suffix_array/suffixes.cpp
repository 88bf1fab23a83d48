#include <algorithm>
#include <utility>

#include "suffix_array/scores.hpp"

namespace potstill {
namespace {

// Searches a round should have so that they hide each other's cache misses.
constexpr std::uint64_t kEnough = 8;

// The longest suffix of a context that occurs has at least found.length tokens and fewer than `limit`.
struct SuffixSearch {
    Query context;
    std::uint64_t limit = 0;
    bool is_bounded =
        false;  // a suffix of `limit` tokens was looked for; else it is only the context's length
    Suffix found;

    bool is_open() const { return found.length + 1 < limit; }

    // Lengths to try next, ascending. Most suffixes are short, so the first ones are near to each other.
    std::vector<std::uint64_t> lengths(std::uint64_t count) const {
        std::vector<std::uint64_t> tried;
        const std::uint64_t open = limit - found.length - 1;
        if (is_bounded || open <= count) {
            const std::uint64_t parts = std::min(open, count) + 1;
            for (std::uint64_t i = 1; i < parts; ++i) {
                tried.push_back(found.length + (open < parts ? i : (open + 1) * i / parts));
            }
            return tried;
        }
        std::uint64_t length = found.length + (count == 1 ? std::max<std::uint64_t>(found.length, 4) : 1);
        length = std::min(length, limit - 1);
        for (std::uint64_t i = 0; i < count && length < limit; ++i) {
            tried.push_back(length);
            length += 1 + i * i / 4 + found.length / 4;
        }
        return tried;
    }
};

void begin_empty(Members members, SuffixSearch& search) {
    for (const Member& member : members) search.found.ranges.push_back({0, member.segment->num_tokens()});
}

}  // namespace

std::vector<Suffix> longest_suffixes(Members members, std::span<const Query> contexts,
                                     std::span<const std::uint64_t> limits) {
    std::vector<SuffixSearch> searches(contexts.size());
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        searches[i].context = contexts[i];
        searches[i].limit = std::min<std::uint64_t>(contexts[i].size() + 1, limits[i]);
        searches[i].is_bounded = limits[i] <= contexts[i].size();
        begin_empty(members, searches[i]);
    }
    for (;;) {
        std::vector<Query> queries;
        std::vector<SuffixSearch*> asked;
        const auto num_open = static_cast<std::uint64_t>(std::count_if(
            searches.begin(), searches.end(), [](const auto& search) { return search.is_open(); }));
        if (num_open == 0) break;
        for (SuffixSearch& search : searches) {
            if (!search.is_open()) continue;
            for (const auto length : search.lengths(std::max<std::uint64_t>(1, kEnough / num_open))) {
                queries.push_back(search.context.last(length));
                asked.push_back(&search);
            }
        }
        const RangeTable table = find_all(members, queries);
        for (std::size_t q = 0; q < queries.size(); ++q) {
            const std::uint64_t length = queries[q].size();
            SuffixSearch& search = *asked[q];
            if (count_of(members, table.row(q)) <= 0) {
                search.limit = std::min(search.limit, length);
                search.is_bounded = true;
            } else if (length > search.found.length && length < search.limit) {
                const auto row = table.row(q);
                search.found = {length, {row.begin(), row.end()}};
            }
        }
    }
    std::vector<Suffix> suffixes;
    for (SuffixSearch& search : searches) suffixes.push_back(std::move(search.found));
    return suffixes;
}

}  // namespace potstill
