// How much two stretches of a stream have in common, guessed from samples.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "suffix_array/symbols.hpp"

namespace potstill {

namespace likeness_detail {

inline constexpr std::uint64_t kWindow = 32;
inline constexpr std::uint64_t kSamples = 2048;
inline constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15;
// One bit for each of 2^20 values keeps nearly all windows out of the set's slower look-up.
inline constexpr int kFilterBits = 20;

inline std::uint64_t power(std::uint64_t base, std::uint64_t exponent) {
    std::uint64_t product = 1;
    while (exponent--) product *= base;
    return product;
}

template <int Width>
std::uint64_t hash_at(Symbols<Width> text, std::uint64_t position) {
    std::uint64_t hash = 0;
    for (std::uint64_t i = 0; i < kWindow; ++i) hash = hash * kBase + text[position + i] + 1;
    return hash;
}

inline std::uint64_t slot_of(std::uint64_t hash) { return (hash ^ hash >> 29) * kBase >> (64 - kFilterBits); }

}  // namespace likeness_detail

// The share of windows of 32 symbols, sampled evenly from [middle, stop), that stand in [first, middle) too.
// Windows are compared by a rolling hash: nothing but a choice of speed may hang on the answer.
template <int Width>
double likeness(Symbols<Width> text, std::uint64_t first, std::uint64_t middle, std::uint64_t stop) {
    using namespace likeness_detail;
    if (middle - first < kWindow || stop - middle < kWindow) return 0;
    const std::uint64_t last = stop - kWindow, step = std::max<std::uint64_t>((last - middle) / kSamples, 1);
    std::unordered_set<std::uint64_t> missing;
    std::vector<bool> filter(std::size_t{1} << kFilterBits);
    for (std::uint64_t position = middle; position <= last; position += step) {
        const std::uint64_t hash = hash_at(text, position);
        missing.insert(hash);
        filter[slot_of(hash)] = true;
    }
    const std::size_t num_samples = missing.size();
    const std::uint64_t leaving = power(kBase, kWindow);
    std::uint64_t hash = hash_at(text, first);
    for (std::uint64_t end = first + kWindow;; ++end) {
        if (filter[slot_of(hash)]) missing.erase(hash);
        if (end == middle) break;
        hash = hash * kBase + text[end] + 1 - (text[end - kWindow] + std::uint64_t{1}) * leaving;
    }
    return 1 - static_cast<double>(missing.size()) / static_cast<double>(num_samples);
}

}  // namespace potstill
