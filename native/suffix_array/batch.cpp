#include "suffix_array/batch.hpp"

#include <algorithm>
#include <array>

#include "suffix_array/diagonals.hpp"

namespace potstill {
namespace {

constexpr std::size_t kInFlight = 32;
// Common runs shorter than this are compared again rather than remembered.
constexpr std::uint64_t kLongRun = 64;

// One query's search, stopped between two loads.
struct Search {
    const Token* ids;
    std::uint64_t length;
    Bounds bounds;
    // Tokens shared with the neighbours of the open interval: all suffixes in it share the fewer of them.
    std::uint64_t left;
    std::uint64_t right;
    bool gallops = false;
    std::uint64_t gallop = 0;  // the next step away from a known suffix; 0 to halve
    std::uint64_t rank = 0;
    std::uint64_t position = 0;
    Match longest{};

    std::uint64_t known() const {
        if (!bounds.is_found()) return std::min(left, right);
        return bounds.lower.is_empty() ? right : left;
    }

    void choose_rank() {
        const bool is_lower = !bounds.lower.is_empty();
        const Range open = is_lower ? bounds.lower : bounds.upper;
        rank = open.lo + open.size() / 2;
        if (gallop == 0) return;
        const std::uint64_t step = std::min(gallop, open.size());
        rank = is_lower ? open.hi - step : open.lo + (step - 1);
    }

    void learn(Comparison found) {
        const bool was_lower = !bounds.lower.is_empty();
        bounds.learn(rank, found.order);
        if (found.order < 0) left = found.shared;
        if (found.order > 0) right = found.shared;
        if (!gallops) return;
        // Past the end of the range the rest is halved; the other side begins with a step of one again.
        gallop = found.order == 0 ? gallop * 2 : 0;
        if (was_lower && bounds.lower.is_empty()) gallop = 1;
    }
};

// The tables' answers to a group of queries, every load of one step asked for before any is needed.
template <int Width>
class TableLookup {
  public:
    TableLookup(const Segment& segment, std::span<const Query> queries)
        : segment_(segment), queries_(queries), seconds_(segment.bigram_seconds<Width>()) {}

    std::vector<Prefix> run() {
        std::vector<Prefix> prefixes(queries_.size(), Prefix{{0, segment_.num_tokens()}, 0});
        if (!segment_.has_tables()) return prefixes;
        for (const Query query : queries_) prefetch(query);
        for (std::size_t i = 0; i < queries_.size(); ++i) prefixes[i] = begin(queries_[i], i);
        while (halve()) {
        }
        for (const Row& row : rows_) finish(row, prefixes[row.query]);
        return prefixes;
    }

  private:
    struct Row {
        std::size_t query;
        Range open;
        std::uint64_t end;
        Symbol second;
    };

    void prefetch(Query query) const {
        if (query.empty()) return;
        segment_.prefetch_unigram(query[0]);
        if (query.size() > 1) segment_.prefetch_bigram_row(query[0]);
    }

    Prefix begin(Query query, std::size_t number) {
        if (query.empty()) return {{0, segment_.num_tokens()}, 0};
        if (query.size() == 1) return {segment_.unigram(query[0]), 1};
        const Range row = segment_.bigram_row(query[0]);
        if (!row.is_empty()) {
            rows_.push_back({number, row, row.hi, symbol_of(query[1])});
            seconds_.prefetch(row.lo + row.size() / 2);
        }
        return {{}, 2};
    }

    bool halve() {
        bool is_open = false;
        for (Row& row : rows_) {
            if (row.open.is_empty()) continue;
            const std::uint64_t middle = row.open.lo + row.open.size() / 2;
            (seconds_.at(middle) < row.second ? row.open.lo = middle + 1 : row.open.hi = middle);
            const bool goes_on = !row.open.is_empty();
            is_open |= goes_on;
            if (goes_on) {
                seconds_.prefetch(row.open.lo + row.open.size() / 2);
            } else {
                segment_.prefetch_bigram_rank(row.open.lo);
            }
        }
        return is_open;
    }

    void finish(const Row& row, Prefix& prefix) const {
        if (row.open.lo == row.end || seconds_.at(row.open.lo) != row.second) return;
        prefix.range = segment_.bigram_range(queries_[row.query][0], row.open.lo);
    }

    const Segment& segment_;
    std::span<const Query> queries_;
    Text<Width> seconds_;
    std::vector<Row> rows_;
};

// Runs every search of a list to its end, kInFlight at a time.
template <int Width>
class Flight {
  public:
    Flight(const Segment& segment, const Text<Width>& text, std::span<Search> searches)
        : segment_(segment), text_(text), searches_(searches) {}

    template <typename Step>
    void run(Step&& step) {
        while (count_ < kInFlight && take_off(count_)) ++count_;
        while (count_ > 0) {
            for (std::size_t i = 0; i < count_; ++i) read_position(*flying_[i]);
            for (std::size_t i = 0; i < count_;) {
                step(*flying_[i]);
                if (!flying_[i]->bounds.is_settled()) {
                    ask(*flying_[i]);
                } else if (!take_off(i)) {
                    flying_[i] = flying_[--count_];
                    continue;
                }
                ++i;
            }
        }
    }

  private:
    bool take_off(std::size_t slot) {
        while (next_ < searches_.size() && searches_[next_].bounds.is_settled()) ++next_;
        if (next_ == searches_.size()) return false;
        flying_[slot] = &searches_[next_++];
        ask(*flying_[slot]);
        return true;
    }

    void ask(Search& search) const {
        search.choose_rank();
        segment_.prefetch_position(search.rank);
    }

    void read_position(Search& search) const {
        search.position = segment_.position(search.rank);
        text_.prefetch(search.position + search.known());
    }

    const Segment& segment_;
    const Text<Width>& text_;
    std::span<Search> searches_;
    std::array<Search*, kInFlight> flying_{};
    std::size_t count_ = 0;
    std::size_t next_ = 0;
};

template <int Width>
std::vector<Search> begin_searches(const Segment& segment, std::span<const Query> queries) {
    const std::vector<Prefix> prefixes = TableLookup<Width>(segment, queries).run();
    std::vector<Search> searches;
    searches.reserve(queries.size());
    for (std::size_t i = 0; i < queries.size(); ++i) {
        const auto [range, depth] = prefixes[i];
        const bool is_answered = depth >= queries[i].size();
        const Bounds bounds =
            is_answered ? Bounds({range.lo, range.lo}, {range.hi, range.hi}) : Bounds(range);
        searches.push_back({queries[i].data(), queries[i].size(), bounds, depth, depth});
    }
    return searches;
}

template <int Width>
std::vector<Range> run_to_ranges(const Segment& segment, const Text<Width>& text,
                                 std::span<Search> searches) {
    Flight<Width>(segment, text, searches).run([&](Search& search) {
        search.learn(compare(text, search.position, search.ids, search.known(), search.length));
    });
    std::vector<Range> ranges;
    ranges.reserve(searches.size());
    for (const Search& search : searches) ranges.push_back(search.bounds.range());
    return ranges;
}

// What the tables know: two tokens of a query that occur, or its first.
Match known_match(const Segment& segment, const Search& search) {
    const std::uint64_t depth = std::min(search.left, search.length);
    const Range range{search.bounds.lower.lo, search.bounds.upper.hi};
    if (!range.is_empty()) return {depth, range.lo};
    if (!segment.has_tables()) return {};
    const Range first = segment.unigram(search.ids[0]);
    return first.is_empty() ? Match{} : Match{1, first.lo};
}

// Compares to the end of the query, over long runs once for each pair of places.
template <int Width>
Comparison compare_far(const Text<Width>& text, const Search& search, const Token* base, Diagonals& runs) {
    const std::uint64_t near = std::min(search.known() + kLongRun, search.length);
    const Comparison first = compare(text, search.position, search.ids, search.known(), near);
    if (first.shared < near || near == search.length) return first;
    const auto start = static_cast<std::uint64_t>(search.ids - base);
    const std::uint64_t difference = search.position - start;
    const std::uint64_t known = runs.end_of_run(difference, start + near) - start;
    const Comparison whole = compare(text, search.position, search.ids, known, search.length);
    const std::uint64_t found = known > near ? near : whole.shared;
    runs.learn(difference, start, start + found, start + whole.shared);
    return whole;
}

}  // namespace

std::vector<Range> find_ranges(const Segment& segment, std::span<const Query> queries) {
    return segment.dispatch([&]<int Width>(const Text<Width>& text) {
        std::vector<Search> searches = begin_searches<Width>(segment, queries);
        return run_to_ranges(segment, text, std::span(searches));
    });
}

std::vector<Range> find_ranges_around(const Segment& segment, std::span<const Query> queries,
                                      std::span<const std::uint64_t> ranks) {
    return segment.dispatch([&]<int Width>(const Text<Width>& text) {
        std::vector<Search> searches = begin_searches<Width>(segment, queries);
        for (std::size_t i = 0; i < searches.size(); ++i) {
            Bounds& bounds = searches[i].bounds;
            const std::uint64_t rank = ranks[i];
            if (bounds.is_settled() || rank < bounds.lower.lo || rank >= bounds.lower.hi) continue;
            bounds = Bounds({bounds.lower.lo, rank}, {rank + 1, bounds.upper.hi});
            searches[i].gallops = true;
            searches[i].gallop = 1;
        }
        return run_to_ranges(segment, text, std::span(searches));
    });
}

std::vector<Match> find_longest(const Segment& segment, Query text, std::uint64_t first,
                                std::uint64_t count) {
    return segment.dispatch([&]<int Width>(const Text<Width>& stream) {
        std::vector<Query> queries;
        queries.reserve(count);
        for (std::uint64_t i = 0; i < count; ++i) queries.push_back(text.subspan(first + i));
        std::vector<Search> searches = begin_searches<Width>(segment, queries);
        for (Search& search : searches) search.longest = known_match(segment, search);
        Diagonals runs;
        Flight<Width>(segment, stream, searches).run([&](Search& search) {
            const Comparison found = compare_far(stream, search, text.data(), runs);
            if (found.shared > search.longest.length) search.longest = {found.shared, search.rank};
            search.learn(found);
            // Nothing is longer than the whole query: settle.
            if (found.order == 0) search.bounds = Bounds({0, 0}, {0, 0});
        });
        std::vector<Match> matches;
        matches.reserve(count);
        for (const Search& search : searches) matches.push_back(search.longest);
        return matches;
    });
}

}  // namespace potstill
