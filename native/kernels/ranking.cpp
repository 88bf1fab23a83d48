#include "kernels/ranking.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/simd.hpp"

namespace potstill {
namespace {

constexpr std::size_t kCodes = 1U << 16;
constexpr std::uint32_t kSign = 0x8000;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Order-preserving: a < b as numbers means code(a) < code(b), with -0 just below +0. Signs are as good as
// random, so there is no branch on them.
std::uint16_t code_of(std::uint32_t upper_bits) {
    return static_cast<std::uint16_t>(upper_bits ^ (kSign | (0U - (upper_bits >> 15))));
}

std::uint16_t bits_of(std::uint32_t code) {
    return static_cast<std::uint16_t>((code & kSign) != 0 ? code & ~kSign : ~code);
}

std::uint16_t code_of(float logit) { return code_of(std::bit_cast<std::uint32_t>(logit + 0.0F) >> 16); }

struct Extremes {
    float peak;
    bool has_nan;
};

POTSTILL_CLONES Extremes extremes_of(std::span<const float> logits) {
    float peak = -kInfinity;
    std::uint32_t num_nan = 0;
#pragma omp simd reduction(+ : num_nan) reduction(max : peak)
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const float x = logits[i];
        num_nan += static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(x) & 0x7fffffffU) > 0x7f800000U);
        peak = x > peak ? x : peak;
    }
    return {peak, num_nan != 0};
}

POTSTILL_CLONES double weigh(std::span<const float> logits, double peak, double temperature,
                             double* weights) {
    double mass = 0;
    const double rate = 1.0 / temperature;
#pragma omp simd reduction(+ : mass)
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const double weight = exp_nonpositive((static_cast<double>(logits[i]) - peak) * rate);
        weights[i] = weight;
        mass += weight;
    }
    return mass;
}

}  // namespace

Ranking<bf16>::Ranking(std::size_t) : counts_(2 * kCodes), weights_(kCodes) {}

RowFault Ranking<bf16>::read(std::span<const bf16> logits, double temperature) {
    logits_ = logits;
    buckets_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) ++counts_[2 * logits[i].bits + (i & 1)];
    counts_[0] += counts_[2 * kSign] + counts_[2 * kSign + 1];  // -0 ties with +0
    counts_[2 * kSign] = counts_[2 * kSign + 1] = 0;
    double mass = 0;
    bool has_nan = false;
    const std::uint32_t top = code_of(0x7f80U), bottom = code_of(0xff80U);
    for (std::uint32_t code = kCodes; code-- > 0;) {
        const std::uint16_t bits = bits_of(code);
        const std::uint32_t count = counts_[2 * bits] + counts_[2 * bits + 1];
        if (count == 0) continue;
        counts_[2 * bits] = counts_[2 * bits + 1] = 0;
        has_nan = has_nan || code >= top || code < bottom;
        const float logit = widen(bf16{bits});
        if (buckets_.empty()) peak_ = logit;
        const double below = static_cast<double>(logit) - peak_;
        weights_[bits] = std::exp(below / temperature);
        mass += count * (temperature == 1.0 ? weights_[bits] : std::exp(below));
        buckets_.push_back({static_cast<std::uint16_t>(code), count, count * weights_[bits]});
    }
    weights_[kSign] = weights_[0];
    if (has_nan) return RowFault::not_a_number;
    if (buckets_.empty() || peak_ == -kInfinity) return RowFault::nothing_finite;
    log_mass_ = peak_ + std::log(mass);
    return RowFault::none;
}

std::span<const TiedTokens> Ranking<bf16>::values(const Bucket& bucket) {
    const std::uint16_t bits = bits_of(bucket.code);
    value_ = {widen(bf16{bits}), bucket.count, weights_[bits]};
    return {&value_, 1};
}

Ranking<float>::Ranking(std::size_t vocab_size) : weights_(vocab_size), table_(kCodes) {
    for (std::size_t code = 0; code < kCodes; ++code) table_[code] = {static_cast<std::uint16_t>(code), 0, 0};
}

RowFault Ranking<float>::read(std::span<const float> logits, double temperature) {
    logits_ = logits;
    const Extremes extremes = extremes_of(logits);
    if (extremes.has_nan || extremes.peak == kInfinity) return RowFault::not_a_number;
    if (extremes.peak == -kInfinity) return RowFault::nothing_finite;
    peak_ = extremes.peak;
    double mass = weigh(logits, peak_, 1.0, weights_.data());
    log_mass_ = peak_ + std::log(mass);
    if (temperature != 1.0) weigh(logits, peak_, temperature, weights_.data());
    return RowFault::none;
}

std::span<const Bucket> Ranking<float>::buckets() {
    for (std::size_t i = 0; i < logits_.size(); ++i) {
        Bucket& bucket = table_[code_of(logits_[i])];
        ++bucket.count;
        bucket.mass += weights_[i];
    }
    buckets_.clear();
    for (std::size_t code = kCodes; code-- > 0;) {
        Bucket& bucket = table_[code];
        if (bucket.count == 0) continue;
        buckets_.push_back(bucket);
        bucket.count = 0;
        bucket.mass = 0;
    }
    return buckets_;
}

std::span<const TiedTokens> Ranking<float>::values(const Bucket& bucket) {
    tokens_.clear();
    for (std::size_t i = 0; i < logits_.size(); ++i) {
        if (code_of(logits_[i]) == bucket.code) tokens_.push_back(i);
    }
    std::sort(tokens_.begin(), tokens_.end(),
              [&](std::size_t a, std::size_t b) { return logits_[a] > logits_[b]; });
    values_.clear();
    for (const std::size_t token : tokens_) {
        if (values_.empty() || values_.back().logit != logits_[token]) {
            values_.push_back({logits_[token], 0, weights_[token]});
        }
        ++values_.back().count;
    }
    return values_;
}

}  // namespace potstill
