#include "suffix_array/scores.hpp"

#include <algorithm>
#include <optional>

#include "suffix_array/matches.hpp"
#include "suffix_array/parallel.hpp"
#include "suffix_array/probes.hpp"

namespace potstill {
namespace {

constexpr std::uint64_t kLeastPiece = 64;
constexpr std::uint64_t kMostPiece = 512;

// A score whose counts are known, and what is needed to say whether it is sparse.
struct Scored {
    Score* score;
    Query context;  // the suffix
    std::span<const Range> ranges;
};

// From the counts alone, if they say it.
std::optional<bool> sparse_by_counts(const Score& score) {
    if (score.context_count <= 0) return false;
    if (score.count > 0) return score.count == score.context_count;
    if (score.context_count == 1) return true;
    return std::nullopt;
}

bool has_deleted(Members members, std::span<const Range> ranges) {
    for (std::size_t m = 0; m < members.size(); ++m) {
        if (members[m].sign < 0 && !ranges[m].is_empty()) return true;
    }
    return false;
}

bool sparse_by_continuations(Members members, const Scored& scored) {
    return continuations(context_ranges(members, scored.ranges), scored.context, 0).counts.size() == 1;
}

// Suffixes of a range are sorted by what follows: one thing alone does when the ends agree.
void sparse_by_ends(Members members, std::span<const Scored> open) {
    std::vector<Probe> probes;
    std::vector<std::size_t> starts;
    for (const Scored& scored : open) {
        starts.push_back(probes.size());
        for (std::size_t m = 0; m < members.size(); ++m) {
            const Range range = scored.ranges[m];
            if (range.is_empty()) continue;
            probes.push_back({members[m].segment.get(), range.lo, scored.context.size()});
            probes.push_back({members[m].segment.get(), range.hi - 1, scored.context.size()});
        }
    }
    starts.push_back(probes.size());
    read_symbols(probes);
    for (std::size_t i = 0; i < open.size(); ++i) {
        bool agree = true;
        for (std::size_t p = starts[i]; p < starts[i + 1]; ++p)
            agree &= probes[p].symbol == probes[starts[i]].symbol;
        open[i].score->is_sparse = agree;
    }
}

void decide_sparse(Members members, std::span<const Scored> all) {
    std::vector<Scored> open;
    std::optional<bool> of_nothing;
    for (const Scored& scored : all) {
        if (const auto known = sparse_by_counts(*scored.score)) {
            scored.score->is_sparse = *known;
        } else if (scored.context.empty()) {
            if (!of_nothing) of_nothing = sparse_by_continuations(members, scored);
            scored.score->is_sparse = *of_nothing;
        } else if (has_deleted(members, scored.ranges)) {
            scored.score->is_sparse = sparse_by_continuations(members, scored);
        } else {
            open.push_back(scored);
        }
    }
    sparse_by_ends(members, open);
}

// For each token of a text the start of the longest suffix before it that occurs.
std::vector<std::uint64_t> suffix_starts(const std::vector<std::uint64_t>& longest,
                                         std::uint64_t max_suffix) {
    std::vector<std::uint64_t> starts(longest.size());
    std::uint64_t start = 0;
    for (std::uint64_t i = 0; i < longest.size(); ++i) {
        while (start < i && start + longest[start] < i) ++start;
        starts[i] = std::max(start, i - std::min(i, max_suffix));
    }
    return starts;
}

// The parts of a text whose counts its scores are made of. The context of the next token is often the
// context of this one with it, and is searched once.
struct ScoreParts {
    std::vector<Part> parts;
    std::vector<std::size_t> contexts;                    // a part for each token
    std::vector<std::optional<std::size_t>> with_tokens;  // none: does not occur

    ScoreParts(const std::vector<std::uint64_t>& longest, const std::vector<std::uint64_t>& starts) {
        for (std::uint64_t i = 0; i < starts.size(); ++i) {
            const std::uint64_t start = starts[i];
            const bool is_known = i > 0 && with_tokens.back() && starts[i - 1] == start;
            contexts.push_back(is_known ? *with_tokens.back() : add(start, i));
            const bool occurs = start + longest[start] > i;
            with_tokens.push_back(occurs ? std::optional(add(start, i + 1)) : std::nullopt);
        }
    }

    std::size_t add(std::uint64_t start, std::uint64_t stop) {
        parts.push_back({start, stop - start});
        return parts.size() - 1;
    }
};

void score_queries(Members members, std::span<const Query> queries, std::span<Score> scores) {
    std::vector<Query> contexts;
    for (const Query query : queries) contexts.push_back(query.first(query.size() - 1));
    const std::vector<std::uint64_t> limits(queries.size(), UINT64_MAX);
    const std::vector<Suffix> suffixes = longest_suffixes(members, contexts, limits);
    std::vector<Query> with_tokens;
    for (std::size_t i = 0; i < queries.size(); ++i) {
        with_tokens.push_back(queries[i].last(suffixes[i].length + 1));
    }
    const RangeTable table = find_all(members, with_tokens);
    std::vector<Scored> all;
    for (std::size_t i = 0; i < queries.size(); ++i) {
        const auto& [length, ranges] = suffixes[i];
        scores[i] = {length, count_of(members, ranges), count_of(members, table.row(i))};
        all.push_back({&scores[i], contexts[i].last(length), ranges});
    }
    decide_sparse(members, all);
}

}  // namespace

std::vector<Score> score_text(Members members, Query text, std::uint64_t max_suffix, int threads) {
    const TextMatches matches(members, text, threads);
    const std::vector<std::uint64_t> starts = suffix_starts(matches.lengths(), max_suffix);
    const ScoreParts parts(matches.lengths(), starts);
    const RangeTable found = matches.find(parts.parts);
    std::vector<Score> scores(text.size());
    std::vector<Scored> all;
    for (std::uint64_t i = 0; i < text.size(); ++i) {
        const auto ranges = found.row(parts.contexts[i]);
        const auto with_token = parts.with_tokens[i];
        scores[i] = {i - starts[i], count_of(members, ranges),
                     with_token ? count_of(members, found.row(*with_token)) : 0};
        all.push_back({&scores[i], text.subspan(starts[i], i - starts[i]), ranges});
    }
    const std::uint64_t piece = piece_of(all.size(), threads, kLeastPiece, kMostPiece);
    for_pieces(all.size(), piece, threads, [&](std::uint64_t first, std::uint64_t stop) {
        decide_sparse(members, std::span(all).subspan(first, stop - first));
    });
    return scores;
}

std::vector<Score> score_last(Members members, std::span<const Query> queries, int threads) {
    std::vector<Score> scores(queries.size());
    const std::uint64_t piece = piece_of(queries.size(), threads, kLeastPiece, kMostPiece);
    for_pieces(queries.size(), piece, threads, [&](std::uint64_t first, std::uint64_t stop) {
        score_queries(members, queries.subspan(first, stop - first),
                      std::span(scores).subspan(first, stop - first));
    });
    return scores;
}

}  // namespace potstill
