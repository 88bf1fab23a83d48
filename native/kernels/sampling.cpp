#include "kernels/sampling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/masses.hpp"
#include "kernels/ranking.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// What filters keep: every token above `lowest`, and of those equal to it the first `ties`.
struct Cut {
    float lowest = -kInfinity;
    std::uint32_t ties = 0;
    double tied_weight = 0;  // of each of them
};

// A stretch of tokens with the mass that is kept of it.
struct BlockMass {
    double mass;
    std::uint32_t ties_before;  // ties still to be kept when it begins
};

template <typename T>
struct Scratch {
    Ranking<T> ranking;
    std::vector<BlockMass> blocks;
    std::vector<float> peaks;  // of blocks

    explicit Scratch(std::size_t vocab_size)
        : ranking(vocab_size), blocks(num_blocks(vocab_size)), peaks(num_blocks(vocab_size)) {}
};

// Walks values in descending order to where `num_tokens` or `mass`, if less, is reached first.
struct Limit {
    double num_tokens;
    double mass;

    bool is_reached(double tokens_so_far, double mass_so_far) const {
        return tokens_so_far >= num_tokens || mass_so_far >= mass;
    }
    std::uint32_t ties_needed(const TiedTokens& value, double tokens_before, double mass_before) const {
        const double by_mass = std::ceil((mass - mass_before) / value.weight);
        const double needed = std::min(num_tokens - tokens_before, by_mass);
        return static_cast<std::uint32_t>(std::clamp(needed, 1.0, static_cast<double>(value.count)));
    }
};

struct Reached {
    Cut cut;
    double mass;
    bool is_reached;
};

template <typename T>
Reached walk(Ranking<T>& ranking, std::span<const Bucket> buckets, const Limit& limit) {
    double tokens = 0, mass = 0;
    for (const Bucket& bucket : buckets) {
        if (!limit.is_reached(tokens + bucket.count, mass + bucket.mass)) {
            tokens += bucket.count;
            mass += bucket.mass;
            continue;
        }
        for (const TiedTokens& value : ranking.values(bucket)) {
            if (limit.is_reached(tokens + value.count, mass + value.count * value.weight)) {
                const std::uint32_t ties = limit.ties_needed(value, tokens, mass);
                return {{value.logit, ties, value.weight}, mass + ties * value.weight, true};
            }
            tokens += value.count;
            mass += value.count * value.weight;
        }
    }
    return {{}, mass, false};
}

// The greatest float with less than `min_p` of the peak's probability.
float greatest_below(float min_p, float peak, float temperature) {
    const double bound = peak + static_cast<double>(temperature) * std::log(static_cast<double>(min_p));
    const auto nearest = static_cast<float>(bound);
    return nearest < bound ? nearest : std::nextafter(nearest, -kInfinity);
}

template <typename T>
Cut cut_by_count(Ranking<T>& ranking, const RowSampling& row) {
    const double num_tokens = row.top_k;
    const auto buckets = ranking.buckets(ranking.bound_of_count(static_cast<std::size_t>(row.top_k)));
    const Reached likeliest = walk(ranking, buckets, {num_tokens, kNoLimit});
    if (row.top_p >= 1) return likeliest.cut;
    return walk(ranking, buckets, {num_tokens, row.top_p * likeliest.mass}).cut;
}

// Most rows are peaked, and few tokens are looked at; of the others, as many as there may be.
template <typename T>
Cut cut_by_mass(Ranking<T>& ranking, double top_p) {
    const Limit limit{kNoLimit, top_p * ranking.mass()};
    const Reached guess = walk(ranking, ranking.buckets(ranking.guess_of_share(top_p)), limit);
    if (guess.is_reached) return guess.cut;
    return walk(ranking, ranking.buckets(ranking.bound_of_share(top_p)), limit).cut;
}

template <typename T>
Cut cut_for(Ranking<T>& ranking, const RowSampling& row) {
    Cut cut;
    if (row.top_k > 0) {
        cut = cut_by_count(ranking, row);
    } else if (row.top_p < 1) {
        cut = cut_by_mass(ranking, row.top_p);
    }
    if (row.min_p > 0) {
        const float lowest = greatest_below(row.min_p, ranking.peak(), row.temperature);
        if (lowest >= cut.lowest) cut = {lowest, 0, 0};
    }
    return cut;
}

// Of one block, of which `ties` may be kept.
template <typename T>
double sum_block(std::span<const T> logits, std::size_t block, const Cut& cut, Ranking<T>& ranking,
                 std::uint32_t& ties) {
    if (cut.lowest == -kInfinity) return ranking.block_mass(block);
    if (ranking.block_peak(block) < cut.lowest) return 0;
    const std::size_t begin = block * kBlock;
    const auto own = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    const Survey found = survey(own, cut.lowest);
    const std::uint32_t num_ties = std::min(ties, found.num_tied);
    ties -= num_ties;
    const double tied = num_ties * cut.tied_weight;
    return found.num_above == 0 ? tied : tied + sum_above(own, ranking.block_weights(block), cut.lowest);
}

// The kept mass of each block, and of all.
template <typename T>
double sum_blocks(std::span<const T> logits, const Cut& cut, Scratch<T>& scratch) {
    double total = 0;
    std::uint32_t ties = cut.ties;
    for (std::size_t b = 0; b < scratch.blocks.size(); ++b) {
        const std::uint32_t ties_before = ties;
        scratch.blocks[b] = {sum_block(logits, b, cut, scratch.ranking, ties), ties_before};
        total += scratch.blocks[b].mass;
    }
    return total;
}

// The first kept token of a block at which the cumulated mass, `mass` before it, exceeds `wanted`; else the
// last with any mass.
template <typename T>
std::size_t invert_block(std::span<const T> logits, std::size_t block, const Cut& cut, double mass,
                         double wanted, Scratch<T>& scratch) {
    const std::size_t begin = block * kBlock;
    const std::span<const double> weights = scratch.ranking.block_weights(block);
    std::uint32_t ties = scratch.blocks[block].ties_before;
    std::size_t chosen = begin;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const float logit = widen(logits[begin + i]);
        if (logit < cut.lowest || weights[i] == 0) continue;
        if (logit == cut.lowest) {
            if (ties == 0) continue;
            --ties;
        }
        chosen = begin + i;
        mass += weights[i];
        if (mass > wanted) break;
    }
    return chosen;
}

// The first kept token at which the cumulated mass exceeds `uniform` of the total.
template <typename T>
std::size_t invert(std::span<const T> logits, const Cut& cut, double uniform, Scratch<T>& scratch) {
    const double wanted = uniform * sum_blocks(logits, cut, scratch);
    double before = 0;
    std::size_t crossed = 0;
    double mass = 0;
    for (std::size_t b = 0; b < scratch.blocks.size(); ++b) {
        if (scratch.blocks[b].mass == 0) continue;
        crossed = b;
        before = mass;
        mass += scratch.blocks[b].mass;
        if (mass > wanted) break;
    }
    // Rounding may leave the last sum short of what is wanted: then the last token with any mass is drawn.
    return invert_block(logits, crossed, cut, before, wanted, scratch);
}

// The likeliest token, of equals the first.
template <typename T>
RowFault take_likeliest(std::span<const T> logits, Scratch<T>& scratch, Draw& draw) {
    const Peak peak = find_peaks(logits, std::span(scratch.peaks));
    if (peak.has_nan || peak.logit == kInfinity) return RowFault::not_a_number;
    if (peak.logit == -kInfinity) return RowFault::nothing_finite;
    const auto block =
        std::find(scratch.peaks.begin(), scratch.peaks.end(), peak.logit) - scratch.peaks.begin();
    auto token = static_cast<std::size_t>(block) * kBlock;
    while (widen(logits[token]) != peak.logit) ++token;
    draw = {static_cast<TokenId>(token), static_cast<float>(-std::log(sum_quickly(logits, peak.logit)))};
    return RowFault::none;
}

template <typename T>
RowFault draw_row(std::span<const T> logits, const RowSampling& row, Scratch<T>& scratch, Draw& draw) {
    if (row.temperature == 0) return take_likeliest(logits, scratch, draw);
    const RowFault fault = scratch.ranking.read(logits, row.temperature);
    if (fault != RowFault::none) return fault;
    const std::size_t token = invert(logits, cut_for(scratch.ranking, row), row.uniform, scratch);
    draw.token_id = static_cast<TokenId>(token);
    draw.logprob = static_cast<float>(widen(logits[token]) - scratch.ranking.log_mass());
    return RowFault::none;
}

void require(bool holds, const char* name, std::size_t row, const char* range) {
    if (holds) return;
    throw std::invalid_argument(std::string(name) + "[" + std::to_string(row) + "] must be " + range);
}

void check(std::span<const RowSampling> rows) {
    for (std::size_t b = 0; b < rows.size(); ++b) {
        const RowSampling& row = rows[b];
        require(row.temperature >= 0 && row.temperature < kInfinity, "temperature", b,
                "finite and at least 0");
        require(row.top_k >= 0, "top_k", b, "at least 0");
        require(row.top_p > 0 && row.top_p <= 1, "top_p", b, "in (0, 1]");
        require(row.min_p >= 0 && row.min_p < 1, "min_p", b, "in [0, 1)");
        require(row.uniform >= 0 && row.uniform < 1, "uniform", b, "in [0, 1)");
    }
}

void report(std::span<const RowFault> faults) {
    for (std::size_t b = 0; b < faults.size(); ++b) {
        const std::string where = "logits[" + std::to_string(b) + "]";
        if (faults[b] == RowFault::not_a_number) throw std::invalid_argument(where + " holds NaN or +inf");
        if (faults[b] == RowFault::nothing_finite)
            throw std::invalid_argument(where + " has no finite value");
    }
}

template <typename T>
float logsumexp_row(std::span<const T> logits) {
    const Peak peak = find_peaks(logits, {});
    if (peak.has_nan) return std::numeric_limits<float>::quiet_NaN();
    if (std::isinf(peak.logit)) return peak.logit;
    return static_cast<float>(peak.logit + std::log(sum_quickly(logits, peak.logit)));
}

}  // namespace

template <typename T>
void sample(std::span<const T> logits, std::span<const RowSampling> rows, std::span<Draw> draws) {
    const std::size_t B = rows.size();
    if (B == 0) return;
    const std::size_t V = logits.size() / B;
    if (V == 0 || V * B != logits.size() ||
        V > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
        throw std::invalid_argument("logits must be [B, V] with V in [1, 2^31)");
    }
    if (draws.size() != B) throw std::invalid_argument("draws must have one entry a row");
    check(rows);

    const auto num_threads = std::min(B, static_cast<std::size_t>(max_threads()));
    std::vector<Scratch<T>> scratch;
    scratch.reserve(num_threads);
    while (scratch.size() < num_threads) scratch.emplace_back(V);
    std::vector<RowFault> faults(B, RowFault::none);
#pragma omp parallel for schedule(dynamic) num_threads(static_cast<int>(num_threads))
    for (std::int64_t item = 0; item < static_cast<std::int64_t>(B); ++item) {
        const auto b = static_cast<std::size_t>(item);
        auto& own = scratch[static_cast<std::size_t>(thread_index())];
        faults[b] = draw_row(logits.subspan(b * V, V), rows[b], own, draws[b]);
    }
    report(faults);
}

template <typename T>
void logsumexp(std::span<const T> logits, std::span<float> out) {
    const std::size_t B = out.size();
    if (B == 0) return;
    const std::size_t V = logits.size() / B;
    if (V * B != logits.size()) throw std::invalid_argument("logits must be [B, V]");
#pragma omp parallel for schedule(static)
    for (std::int64_t item = 0; item < static_cast<std::int64_t>(B); ++item) {
        const auto b = static_cast<std::size_t>(item);
        out[b] = logsumexp_row(logits.subspan(b * V, V));
    }
}

template void sample<float>(std::span<const float>, std::span<const RowSampling>, std::span<Draw>);
template void sample<bf16>(std::span<const bf16>, std::span<const RowSampling>, std::span<Draw>);
template void logsumexp<float>(std::span<const float>, std::span<float>);
template void logsumexp<bf16>(std::span<const bf16>, std::span<float>);

}  // namespace potstill
