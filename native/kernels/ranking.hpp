// A row of logits, its tokens' weights exp((logit - peak) / temperature), and its values in descending order.
//
// Nothing is sorted whole: values fall into buckets by the upper 16 bits of an order-preserving code. A
// bfloat16 bucket is one value; a float32 bucket is sorted only when a boundary falls into it. Of a float32
// row, blocks whose peak is too low are passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/masses.hpp"
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

// Either takes all its room when it is made, where a failure can be reported: rows are read by several
// threads. A copy would be without that room, so there is none.
template <>
class Ranking<bf16> {
  public:
    explicit Ranking(std::size_t vocab_size);
    Ranking(Ranking&&) = default;

    RowFault read(std::span<const bf16> logits, double temperature);

    float peak() const { return peak_; }
    double log_mass() const { return log_mass_; }  // logsumexp at temperature 1
    double mass() const { return mass_; }          // sum of the weights

    // Logits with at least `count` tokens at or above them; with at least `share` < 1 of the mass.
    float bound_of_count(std::size_t) const { return -std::numeric_limits<float>::infinity(); }
    float bound_of_share(double) const { return -std::numeric_limits<float>::infinity(); }
    // One above it that is likely to do; infinity where the row is so flat that looking costs as much as
    // knowing.
    float guess_of_share(double) const { return std::numeric_limits<float>::infinity(); }

    std::span<const Bucket> buckets(float) const {
        return buckets_;
    }  // from the peak to `lowest`, or further
    std::span<const TiedTokens> values(const Bucket& bucket);  // of a bucket, descending

    float block_peak(std::size_t) const { return peak_; }  // or more
    double block_mass(std::size_t block);
    std::span<const double> block_weights(std::size_t block);  // until the next call

  private:
    std::span<const bf16> logits_;
    std::vector<std::uint32_t> counts_;  // by code, two counters each: neighbours often tie
    std::vector<double> weights_;        // by bits
    std::vector<Bucket> buckets_;
    std::vector<double> block_;
    TiedTokens value_{};
    float peak_ = 0;
    double mass_ = 0, log_mass_ = 0;
};

template <>
class Ranking<float> {
  public:
    explicit Ranking(std::size_t vocab_size);
    Ranking(Ranking&&) = default;

    RowFault read(std::span<const float> logits, double temperature);

    float peak() const { return peak_; }
    double log_mass() const { return log_mass_; }
    double mass() const { return mass_; }

    float bound_of_count(std::size_t count);
    float bound_of_share(double share) const;
    float guess_of_share(double share) const;

    std::span<const Bucket> buckets(float lowest);
    std::span<const TiedTokens> values(const Bucket& bucket);

    float block_peak(std::size_t block) const { return block_peaks_[block]; }
    double block_mass(std::size_t block) const { return block_masses_[block]; }
    std::span<const double> block_weights(std::size_t block);

  private:
    std::span<const float> block_of(std::size_t block) const;
    void collect_members(std::uint32_t code);
    void fill_buckets(std::size_t block, std::uint32_t lowest_code);

    std::span<const float> logits_;
    std::vector<float> block_peaks_, ranked_peaks_;
    std::vector<double> block_masses_;
    std::vector<double> block_;
    std::vector<Bucket> table_;  // by code, from the lowest one asked for
    std::vector<Bucket> buckets_;
    std::vector<float> members_;
    std::vector<TiedTokens> values_;
    float peak_ = 0;
    double rate_ = 1, mass_ = 0, log_mass_ = 0;
};

}  // namespace potstill
