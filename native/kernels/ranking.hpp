// A row of logits, its tokens' weights exp((logit - peak) / temperature), and its values in descending order.
//
// Nothing is sorted whole: values fall into buckets by the upper 16 bits of an order-preserving code. A
// bfloat16 bucket is one value; a float32 bucket is sorted only when a boundary falls into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/types.hpp"

namespace potstill {

// Tokens with one and the same logit; `weight` is each one's.
struct TiedTokens {
    float logit;
    std::uint32_t count;
    double weight;
};

struct Bucket {
    std::uint16_t code;
    std::uint32_t count;
    double mass;  // sum of the weights
};

enum class RowFault : std::uint8_t { none, not_a_number, nothing_finite };

template <typename T>
class Ranking;

template <>
class Ranking<bf16> {
  public:
    explicit Ranking(std::size_t vocab_size);

    RowFault read(std::span<const bf16> logits, double temperature);

    float peak() const { return peak_; }
    double log_mass() const { return log_mass_; }                 // logsumexp at temperature 1
    std::span<const Bucket> buckets() const { return buckets_; }  // descending
    std::span<const TiedTokens> values(const Bucket& bucket);     // of a bucket, descending
    double weight(std::size_t token) const { return weights_[logits_[token].bits]; }

  private:
    std::span<const bf16> logits_;
    std::vector<std::uint32_t> counts_;  // by code, two counters each: neighbours often tie
    std::vector<double> weights_;        // by bits
    std::vector<Bucket> buckets_;
    TiedTokens value_{};
    float peak_ = 0;
    double log_mass_ = 0;
};

template <>
class Ranking<float> {
  public:
    explicit Ranking(std::size_t vocab_size);

    RowFault read(std::span<const float> logits, double temperature);

    float peak() const { return peak_; }
    double log_mass() const { return log_mass_; }
    std::span<const Bucket> buckets();
    std::span<const TiedTokens> values(const Bucket& bucket);
    double weight(std::size_t token) const { return weights_[token]; }

  private:
    std::span<const float> logits_;
    std::vector<double> weights_;  // by token
    std::vector<Bucket> table_;    // by code
    std::vector<Bucket> buckets_;
    std::vector<std::size_t> tokens_;
    std::vector<TiedTokens> values_;
    float peak_ = 0;
    double log_mass_ = 0;
};

}  // namespace potstill
