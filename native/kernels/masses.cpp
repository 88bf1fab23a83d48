#include "kernels/masses.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/simd.hpp"

namespace potstill {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

template <typename T>
POTSTILL_INLINE float peak_of(const T* logits, std::size_t count, std::uint32_t& num_nan) {
    float peak = kLowest;
    std::uint32_t found = 0;
#pragma omp simd reduction(+ : found) reduction(max : peak)
    for (std::size_t i = 0; i < count; ++i) {
        const float x = widen(logits[i]);
        found += static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(x) & 0x7fffffffU) > 0x7f800000U);
        peak = x > peak ? x : peak;
    }
    num_nan += found;
    return peak;
}

template <typename T>
POTSTILL_INLINE Peak peaks_of(const T* logits, std::size_t count, float* block_peaks) {
    Peak all{kLowest, false};
    std::uint32_t num_nan = 0;
    for (std::size_t begin = 0; begin < count; begin += kBlock) {
        const std::size_t size = count - begin;
        const float peak = size >= kBlock ? peak_of(logits + begin, kBlock, num_nan)
                                          : peak_of(logits + begin, size, num_nan);
        all.logit = std::max(all.logit, peak);
        if (block_peaks != nullptr) block_peaks[begin / kBlock] = peak;
    }
    all.has_nan = num_nan != 0;
    return all;
}

POTSTILL_CLONES Peak peaks(const float* logits, std::size_t count, float* block_peaks) {
    return peaks_of(logits, count, block_peaks);
}
POTSTILL_CLONES Peak peaks(const bf16* logits, std::size_t count, float* block_peaks) {
    return peaks_of(logits, count, block_peaks);
}

template <typename T>
POTSTILL_INLINE float float_sum(const T* logits, std::size_t count, float peak) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < count; ++i) sum += exp_nonpositive(widen(logits[i]) - peak);
    return sum;
}

template <typename T>
POTSTILL_INLINE double sum_of(const T* logits, std::size_t count, float peak) {
    double sum = 0;
    std::size_t begin = 0;
    for (; begin + kBlock <= count; begin += kBlock) sum += float_sum(logits + begin, kBlock, peak);
    return sum + float_sum(logits + begin, count - begin, peak);
}

POTSTILL_CLONES double sum(const float* logits, std::size_t count, float peak) {
    return sum_of(logits, count, peak);
}
POTSTILL_CLONES double sum(const bf16* logits, std::size_t count, float peak) {
    return sum_of(logits, count, peak);
}

POTSTILL_CLONES double weigh_tokens(const float* logits, std::size_t count, double peak, double rate,
                                    double* weights) {
    double mass = 0;
#pragma omp simd reduction(+ : mass)
    for (std::size_t i = 0; i < count; ++i) {
        const double weight = exp_nonpositive((static_cast<double>(logits[i]) - peak) * rate);
        weights[i] = weight;
        mass += weight;
    }
    return mass;
}

// No branch on what is above: in a flat row that is as good as random.
template <typename T>
POTSTILL_INLINE double sum_kept(const T* logits, const double* weights, std::size_t count, float lowest) {
    double mass = 0;
#pragma omp simd reduction(+ : mass)
    for (std::size_t i = 0; i < count; ++i) mass += widen(logits[i]) > lowest ? weights[i] : 0.0;
    return mass;
}

POTSTILL_CLONES double sum_tokens(const float* logits, const double* weights, std::size_t count,
                                  float lowest) {
    return sum_kept(logits, weights, count, lowest);
}
POTSTILL_CLONES double sum_tokens(const bf16* logits, const double* weights, std::size_t count,
                                  float lowest) {
    return sum_kept(logits, weights, count, lowest);
}

template <typename T>
POTSTILL_INLINE Survey survey_of(const T* logits, std::size_t count, float lowest) {
    std::uint32_t num_above = 0, num_tied = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const float x = widen(logits[i]);
        num_above += static_cast<std::uint32_t>(x > lowest);
        num_tied += static_cast<std::uint32_t>(x == lowest);
    }
    return {num_above, num_tied};
}

POTSTILL_CLONES Survey survey_tokens(const float* logits, std::size_t count, float lowest) {
    return survey_of(logits, count, lowest);
}
POTSTILL_CLONES Survey survey_tokens(const bf16* logits, std::size_t count, float lowest) {
    return survey_of(logits, count, lowest);
}

}  // namespace

template <typename T>
Peak find_peaks(std::span<const T> logits, std::span<float> block_peaks) {
    return peaks(logits.data(), logits.size(), block_peaks.data());
}

template <typename T>
double sum_quickly(std::span<const T> logits, float peak) {
    return sum(logits.data(), logits.size(), peak);
}

double weigh(std::span<const float> logits, float peak, double rate, double* weights) {
    return weigh_tokens(logits.data(), logits.size(), peak, rate, weights);
}

template <typename T>
double sum_above(std::span<const T> logits, std::span<const double> weights, float lowest) {
    return sum_tokens(logits.data(), weights.data(), logits.size(), lowest);
}

template <typename T>
Survey survey(std::span<const T> logits, float lowest) {
    return survey_tokens(logits.data(), logits.size(), lowest);
}

template Peak find_peaks<float>(std::span<const float>, std::span<float>);
template Peak find_peaks<bf16>(std::span<const bf16>, std::span<float>);
template double sum_quickly<float>(std::span<const float>, float);
template double sum_quickly<bf16>(std::span<const bf16>, float);
template double sum_above<float>(std::span<const float>, std::span<const double>, float);
template double sum_above<bf16>(std::span<const bf16>, std::span<const double>, float);
template Survey survey<float>(std::span<const float>, float);
template Survey survey<bf16>(std::span<const bf16>, float);

}  // namespace potstill
