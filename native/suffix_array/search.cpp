#include "suffix_array/search.hpp"

#include <algorithm>
#include <array>

namespace potstill {
namespace {

// Ranks looked at together within one interval. A round costs two cache misses one after the other however
// many ranks it looks at, so a few more of them save rounds.
constexpr std::uint64_t kProbes = 8;

struct Probe {
    std::uint64_t rank;
    std::uint64_t position;
};

struct Round {
    std::array<Probe, 2 * kProbes> probes;
    std::size_t count = 0;

    void spread(Range range) {
        const std::uint64_t size = range.size();
        if (range.is_empty()) return;
        const std::uint64_t parts = std::min(size, kProbes) + 1;
        for (std::uint64_t i = 1; i < parts; ++i) {
            const std::uint64_t step = size < parts ? i - 1 : size / parts * i + size % parts * i / parts;
            probes[count++].rank = range.lo + step;
        }
    }
};

// `order(position)`: how the suffix there compares with what is looked for, from symbol `depth` of it on.
template <int Width, typename Order>
Range bisect(const Segment& segment, const Text<Width>& text, Prefix prefix, Order&& order) {
    Bounds bounds(prefix.range);
    while (!bounds.is_settled()) {
        Round round;
        round.spread(bounds.lower);
        if (bounds.upper != bounds.lower) round.spread(bounds.upper);
        const std::span probes(round.probes.data(), round.count);
        for (const Probe& probe : probes) segment.prefetch_position(probe.rank);
        for (Probe& probe : probes) {
            probe.position = segment.position(probe.rank);
            text.prefetch(probe.position + prefix.depth);
        }
        for (const Probe& probe : probes) bounds.learn(probe.rank, order(probe.position));
    }
    return bounds.range();
}

// The first bigram of a row whose second symbol is not below `second`.
template <int Width>
std::uint64_t find_second(const Text<Width>& seconds, Range row, Symbol second) {
    while (!row.is_empty()) {
        const std::uint64_t middle = row.lo + row.size() / 2;
        if (seconds.at(middle) < second) {
            row.lo = middle + 1;
        } else {
            row.hi = middle;
        }
    }
    return row.lo;
}

template <int Width>
Range bigram(const Segment& segment, Token first, Token second) {
    const Range row = segment.bigram_row(first);
    const Text<Width> seconds = segment.bigram_seconds<Width>();
    const std::uint64_t found = find_second(seconds, row, symbol_of(second));
    if (found == row.hi || seconds.at(found) != symbol_of(second)) return {};
    return segment.bigram_range(first, found);
}

}  // namespace

Prefix look_up(const Segment& segment, std::span<const Token> ids) {
    if (ids.empty() || !segment.has_tables()) return {{0, segment.num_tokens()}, 0};
    if (ids.size() == 1) return {segment.unigram(ids[0]), 1};
    return {segment.dispatch(
                [&]<int Width>(const Text<Width>&) { return bigram<Width>(segment, ids[0], ids[1]); }),
            2};
}

Range find(const Segment& segment, std::span<const Token> ids) {
    const Prefix known = look_up(segment, ids);
    if (known.depth >= ids.size() || known.range.is_empty()) return known.range;
    return segment.dispatch([&]<int Width>(const Text<Width>& text) {
        return bisect(segment, text, known, [&](std::uint64_t position) {
            return compare(text, position, ids.data(), known.depth, ids.size()).order;
        });
    });
}

Range narrow(const Segment& segment, Prefix prefix, Token next) {
    if (prefix.depth == 0 && segment.has_tables()) return segment.unigram(next);
    return segment.dispatch([&]<int Width>(const Text<Width>& text) {
        return bisect(segment, text, prefix, [&](std::uint64_t position) {
            return text.at(position + prefix.depth) <=> symbol_of(next);
        });
    });
}

}  // namespace potstill
