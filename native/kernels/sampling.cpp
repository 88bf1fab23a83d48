#include "kernels/sampling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/ranking.hpp"
#include "kernels/simd.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

constexpr std::size_t kBlock = 256;  // tokens summed together
constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

    explicit Scratch(std::size_t vocab_size)
        : ranking(vocab_size), blocks((vocab_size + kBlock - 1) / kBlock) {}
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
                return {{value.logit, ties, value.weight}, mass + ties * value.weight};
            }
            tokens += value.count;
            mass += value.count * value.weight;
        }
    }
    return {{}, mass};
}

// The greatest float with less than `min_p` of the peak's probability.
float greatest_below(float min_p, float peak, float temperature) {
    const double bound = peak + static_cast<double>(temperature) * std::log(static_cast<double>(min_p));
    const auto nearest = static_cast<float>(bound);
    return nearest < bound ? nearest : std::nextafter(nearest, -kInfinity);
}

template <typename T>
Cut cut_for(Ranking<T>& ranking, const RowSampling& row) {
    constexpr double kNoLimit = std::numeric_limits<double>::infinity();
    Cut cut;
    if (row.top_k > 0 || row.top_p < 1) {
        const std::span<const Bucket> buckets = ranking.buckets();
        const double num_tokens = row.top_k > 0 ? row.top_k : kNoLimit;
        const Reached likeliest = walk(ranking, buckets, {num_tokens, kNoLimit});
        cut = likeliest.cut;
        if (row.top_p < 1) cut = walk(ranking, buckets, {num_tokens, row.top_p * likeliest.mass}).cut;
    }
    if (row.min_p > 0) {
        const float lowest = greatest_below(row.min_p, ranking.peak(), row.temperature);
        if (lowest >= cut.lowest) cut = {lowest, 0, 0};
    }
    return cut;
}

struct Survey {
    std::uint32_t num_above;
    std::uint32_t num_tied;
};

POTSTILL_INLINE Survey survey_of(const auto* logits, std::size_t count, float lowest) {
    std::uint32_t num_above = 0, num_tied = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const float x = widen(logits[i]);
        num_above += static_cast<std::uint32_t>(x > lowest);
        num_tied += static_cast<std::uint32_t>(x == lowest);
    }
    return {num_above, num_tied};
}

POTSTILL_CLONES Survey survey(const float* logits, std::size_t count, float lowest) {
    return survey_of(logits, count, lowest);
}
POTSTILL_CLONES Survey survey(const bf16* logits, std::size_t count, float lowest) {
    return survey_of(logits, count, lowest);
}

// The kept mass of each block, and of all.
template <typename T>
double sum_blocks(std::span<const T> logits, const Cut& cut, Scratch<T>& scratch) {
    double total = 0;
    std::uint32_t ties = cut.ties;
    for (std::size_t b = 0; b < scratch.blocks.size(); ++b) {
        const std::size_t begin = b * kBlock, end = std::min(begin + kBlock, logits.size());
        const Survey found = survey(logits.data() + begin, end - begin, cut.lowest);
        const std::uint32_t num_ties = std::min(ties, found.num_tied);
        double mass = num_ties * cut.tied_weight;
        if (found.num_above > 0) {
            // No branch on what is kept: in a flat row that is as good as random.
            for (std::size_t i = begin; i < end; ++i) {
                const auto kept = 0U - static_cast<std::uint64_t>(widen(logits[i]) > cut.lowest);
                mass += std::bit_cast<double>(std::bit_cast<std::uint64_t>(scratch.ranking.weight(i)) & kept);
            }
        }
        scratch.blocks[b] = {mass, ties};
        ties -= num_ties;
        total += mass;
    }
    return total;
}

// Calls visit(token, weight) for the kept tokens of [begin, end) in the order of ids until it returns true.
template <typename T, typename Visit>
void visit_kept(std::span<const T> logits, const Ranking<T>& ranking, const Cut& cut, std::size_t begin,
                std::size_t end, std::uint32_t ties, Visit&& visit) {
    for (std::size_t i = begin; i < end; ++i) {
        const float logit = widen(logits[i]);
        if (logit < cut.lowest) continue;
        if (logit == cut.lowest) {
            if (ties == 0) continue;
            --ties;
        }
        if (visit(i, ranking.weight(i))) return;
    }
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
    const std::size_t begin = crossed * kBlock, end = std::min(begin + kBlock, logits.size());
    std::size_t chosen = begin;
    mass = 0;
    visit_kept(logits, scratch.ranking, cut, begin, end, scratch.blocks[crossed].ties_before,
               [&](std::size_t token, double weight) {
                   if (weight > 0) chosen = token;
                   mass += weight;
                   return before + mass > wanted;
               });
    return chosen;
}

template <typename T>
RowFault draw_row(std::span<const T> logits, RowSampling row, Scratch<T>& scratch, Draw& draw) {
    if (row.temperature == 0) row = {1.0F, 1, 1.0F, 0.0F, 0.0};
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
POTSTILL_INLINE float logsumexp_row(const T* logits, std::size_t count) {
    float peak = -kInfinity;
#pragma omp simd reduction(max : peak)
    for (std::size_t i = 0; i < count; ++i) {
        const float x = widen(logits[i]);
        peak = x > peak ? x : peak;
    }
    if (peak == -kInfinity) peak = 0;
    double mass = 0;
    std::uint32_t num_nan = 0;
#pragma omp simd reduction(+ : mass, num_nan)
    for (std::size_t i = 0; i < count; ++i) {
        const float x = widen(logits[i]);
        num_nan += static_cast<std::uint32_t>(x != x);
        mass += static_cast<double>(exp_nonpositive(x - peak));
    }
    if (num_nan != 0) return std::numeric_limits<float>::quiet_NaN();
    return peak == kInfinity ? kInfinity : static_cast<float>(peak + std::log(mass));
}

POTSTILL_CLONES float logsumexp_of(const float* logits, std::size_t count) {
    return logsumexp_row(logits, count);
}
POTSTILL_CLONES float logsumexp_of(const bf16* logits, std::size_t count) {
    return logsumexp_row(logits, count);
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
    std::vector<Scratch<T>> scratch(num_threads, Scratch<T>(V));
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
        out[b] = logsumexp_of(logits.data() + b * V, V);
    }
}

template void sample<float>(std::span<const float>, std::span<const RowSampling>, std::span<Draw>);
template void sample<bf16>(std::span<const bf16>, std::span<const RowSampling>, std::span<Draw>);
template void logsumexp<float>(std::span<const float>, std::span<float>);
template void logsumexp<bf16>(std::span<const bf16>, std::span<float>);

}  // namespace potstill
