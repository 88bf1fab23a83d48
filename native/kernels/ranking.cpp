#include "kernels/ranking.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
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

constexpr std::size_t kApart = 8;  // buckets of what is too low, in turn: one would wait for itself

// Where each token of a block falls in a table that begins with kApart and then the bucket of `lowest_code`.
POTSTILL_CLONES void place_tokens(const float* logits, std::size_t count, std::uint32_t lowest_code,
                                  std::uint32_t* places) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t upper = std::bit_cast<std::uint32_t>(logits[i] + 0.0F) >> 16;
        const std::uint32_t code = (upper ^ (kSign | (0U - (upper >> 15)))) & 0xffffU;
        const auto apart = static_cast<std::uint32_t>(i % kApart);
        places[i] = code < lowest_code ? apart : code - lowest_code + static_cast<std::uint32_t>(kApart);
    }
}

POTSTILL_CLONES std::uint32_t count_code(const float* logits, std::size_t count, std::uint32_t code) {
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t upper = std::bit_cast<std::uint32_t>(logits[i] + 0.0F) >> 16;
        found += static_cast<std::uint32_t>(((upper ^ (kSign | (0U - (upper >> 15)))) & 0xffffU) == code);
    }
    return found;
}

// The least float with this code.
float bottom_of(std::uint32_t code) {
    const std::uint32_t bits = bits_of(code);
    const auto bottom = std::bit_cast<float>(bits << 16 | (bits >= kSign ? 0xffffU : 0U));
    return std::isnan(bottom) ? -kInfinity : bottom;
}

// The greatest float at which a weight is at most `weight`, or one below it.
float logit_of(double weight, float peak, double rate) {
    const auto logit = static_cast<float>(peak + std::log(weight) / rate);
    return std::nextafter(logit, -kInfinity);
}

}  // namespace

Ranking<bf16>::Ranking(std::size_t vocab_size) : counts_(2 * kCodes), weights_(kCodes), block_(kBlock) {
    buckets_.reserve(std::min(vocab_size, kCodes));
}

RowFault Ranking<bf16>::read(std::span<const bf16> logits, double temperature) {
    logits_ = logits;
    buckets_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) ++counts_[2 * logits[i].bits + (i & 1)];
    counts_[0] += counts_[2 * kSign] + counts_[2 * kSign + 1];  // -0 ties with +0
    counts_[2 * kSign] = counts_[2 * kSign + 1] = 0;
    double mass = 0;  // at temperature 1
    mass_ = 0;
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
        mass_ += buckets_.back().mass;
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

std::span<const double> Ranking<bf16>::block_weights(std::size_t block) {
    const std::size_t begin = block * kBlock, count = std::min(kBlock, logits_.size() - begin);
    for (std::size_t i = 0; i < count; ++i) block_[i] = weights_[logits_[begin + i].bits];
    return {block_.data(), count};
}

double Ranking<bf16>::block_mass(std::size_t block) {
    double mass = 0;
    for (const double weight : block_weights(block)) mass += weight;
    return mass;
}

Ranking<float>::Ranking(std::size_t vocab_size)
    : block_peaks_(num_blocks(vocab_size)), block_masses_(num_blocks(vocab_size)), block_(kBlock) {
    ranked_peaks_.reserve(block_peaks_.size());
    table_.reserve(kApart + kCodes);
    buckets_.reserve(std::min(vocab_size, kCodes));
    members_.reserve(vocab_size);
    values_.reserve(vocab_size);
}

std::span<const float> Ranking<float>::block_of(std::size_t block) const {
    const std::size_t begin = block * kBlock;
    return logits_.subspan(begin, std::min(kBlock, logits_.size() - begin));
}

RowFault Ranking<float>::read(std::span<const float> logits, double temperature) {
    logits_ = logits;
    rate_ = 1.0 / temperature;
    const Peak found = find_peaks(logits, std::span(block_peaks_));
    peak_ = found.logit;
    if (found.has_nan || peak_ == kInfinity) return RowFault::not_a_number;
    if (peak_ == -kInfinity) return RowFault::nothing_finite;
    mass_ = 0;
    for (std::size_t block = 0; block < block_masses_.size(); ++block) {
        block_masses_[block] = weigh(block_of(block), peak_, rate_, block_.data());
        mass_ += block_masses_[block];
    }
    log_mass_ = peak_ + std::log(temperature == 1.0 ? mass_ : sum_quickly(logits, peak_));
    return RowFault::none;
}

// At least `count` blocks hold a token at or above the peak of the one that comes `count`th.
float Ranking<float>::bound_of_count(std::size_t count) {
    if (count > block_peaks_.size()) return -kInfinity;
    ranked_peaks_ = block_peaks_;
    const auto nth = ranked_peaks_.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(ranked_peaks_.begin(), nth, ranked_peaks_.end(), std::greater<>());
    return *nth;
}

// All tokens below it together, were there as many as there are tokens, lack half of the mass to spare.
float Ranking<float>::bound_of_share(double share) const {
    return logit_of((1 - share) * mass_ / (2 * static_cast<double>(logits_.size())), peak_, rate_);
}

float Ranking<float>::guess_of_share(double share) const {
    const float guess = logit_of((1 - share) * mass_ / 512, peak_, rate_);
    const auto num_looked_at =
        std::count_if(block_peaks_.begin(), block_peaks_.end(), [&](float peak) { return peak >= guess; });
    return 2 * static_cast<std::size_t>(num_looked_at) > block_peaks_.size() ? kInfinity : guess;
}

void Ranking<float>::fill_buckets(std::size_t block, std::uint32_t lowest_code) {
    const std::span<const float> logits = block_of(block);
    std::uint32_t places[kBlock];
    place_tokens(logits.data(), logits.size(), lowest_code, places);
    weigh(logits, peak_, rate_, block_.data());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        Bucket& bucket = table_[places[i]];
        ++bucket.count;
        bucket.mass += block_[i];
    }
}

std::span<const Bucket> Ranking<float>::buckets(float lowest) {
    buckets_.clear();
    if (lowest > peak_) return buckets_;
    const std::uint32_t lowest_code = code_of(lowest);
    table_.assign(kApart + code_of(peak_) - lowest_code + 1, Bucket{});
    const float bottom = bottom_of(lowest_code);
    for (std::size_t block = 0; block < block_peaks_.size(); ++block) {
        if (block_peaks_[block] >= bottom) fill_buckets(block, lowest_code);
    }
    for (std::size_t place = table_.size(); place-- > kApart;) {
        Bucket& bucket = table_[place];
        bucket.code = static_cast<std::uint16_t>(lowest_code + place - kApart);
        if (bucket.count > 0) buckets_.push_back(bucket);
    }
    return buckets_;
}

void Ranking<float>::collect_members(std::uint32_t code) {
    members_.clear();
    const float bottom = bottom_of(code);
    for (std::size_t block = 0; block < block_peaks_.size(); ++block) {
        if (block_peaks_[block] < bottom) continue;
        const std::span<const float> logits = block_of(block);
        if (count_code(logits.data(), logits.size(), code) == 0) continue;
        std::copy_if(logits.begin(), logits.end(), std::back_inserter(members_),
                     [&](float logit) { return code_of(logit) == code; });
    }
    std::sort(members_.begin(), members_.end(), std::greater<>());
}

std::span<const TiedTokens> Ranking<float>::values(const Bucket& bucket) {
    collect_members(bucket.code);
    values_.clear();
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (i % kBlock == 0) {
            const auto next = std::span<const float>(members_).subspan(i);
            weigh(next.first(std::min(kBlock, next.size())), peak_, rate_, block_.data());
        }
        if (values_.empty() || values_.back().logit != members_[i]) {
            values_.push_back({members_[i], 0, block_[i % kBlock]});
        }
        ++values_.back().count;
    }
    return values_;
}

std::span<const double> Ranking<float>::block_weights(std::size_t block) {
    const std::span<const float> logits = block_of(block);
    weigh(logits, peak_, rate_, block_.data());
    return {block_.data(), logits.size()};
}

}  // namespace potstill
