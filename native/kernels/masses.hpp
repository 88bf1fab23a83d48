// Passes over a row of logits: its peak, its tokens' weights exp((logit - peak) / temperature) and their
// sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/types.hpp"

namespace potstill {

constexpr std::size_t kBlock = 256;  // tokens summed together

constexpr std::size_t num_blocks(std::size_t num_tokens) { return (num_tokens + kBlock - 1) / kBlock; }

struct Peak {
    float logit;
    bool has_nan;
};

// The peak of a row, and of each of its blocks where there is room for them; a block with NaN may have any.
template <typename T>
Peak find_peaks(std::span<const T> logits, std::span<float> block_peaks);

// Sum of the weights at temperature 1, within 1e-6 of itself.
template <typename T>
double sum_quickly(std::span<const T> logits, float peak);

// The weights of at most kBlock tokens, rate being 1 / temperature, and their sum: exact to float64.
double weigh(std::span<const float> logits, float peak, double rate, double* weights);

// Sum of the weights of those above `lowest`.
template <typename T>
double sum_above(std::span<const T> logits, std::span<const double> weights, float lowest);

struct Survey {
    std::uint32_t num_above;
    std::uint32_t num_tied;
};

// How many of at most kBlock tokens are above `lowest`, and how many equal it.
template <typename T>
Survey survey(std::span<const T> logits, float lowest);

}  // namespace potstill
