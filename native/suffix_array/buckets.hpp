// Where the suffixes that begin with a symbol stand in the sorted array, and the next free place among them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <vector>

namespace potstill {

// Calls body(i) for each bit i that is set, from the lowest up.
template <typename Body>
void for_each_bit(const std::vector<std::uint64_t>& words, Body&& body) {
    for (std::size_t block = 0; block < words.size(); ++block) {
        for (std::uint64_t word = words[block]; word != 0; word &= word - 1)
            body(static_cast<std::int32_t>(block * 64) + std::countr_zero(word));
    }
}

class Buckets {
  public:
    // starts [num_values + 1]; heads [num_values].
    Buckets(const std::int32_t* starts, std::int32_t num_values, std::int32_t* heads)
        : starts_(starts), num_values_(num_values), first_(starts[1]), heads_(heads) {}

    // Buckets whose symbol is their own start, for a text of names: bit i of is_start [n] says that one
    // starts there. heads [n].
    Buckets(std::vector<std::uint64_t> is_start, std::int32_t n, std::int32_t* heads)
        : num_values_(n), first_(2), is_start_(std::move(is_start)), heads_(heads) {}

    // The start of the first bucket of tokens.
    std::int32_t first() const { return first_; }
    std::int32_t* heads() const { return heads_; }

    void to_starts() {
        if (starts_ != nullptr) {
            std::copy_n(starts_, num_values_, heads_);
        } else {
            std::iota(heads_, heads_ + num_values_, 0);
        }
    }

    void to_ends() {
        if (starts_ != nullptr) {
            std::copy_n(starts_ + 1, num_values_, heads_);
            return;
        }
        std::int32_t open = 0;
        for_each_bit(is_start_, [&](std::int32_t start) {
            heads_[open] = start;
            open = start;
        });
        heads_[open] = num_values_;
    }

  private:
    const std::int32_t* starts_ = nullptr;
    std::int32_t num_values_;
    std::int32_t first_;
    std::vector<std::uint64_t> is_start_;
    std::int32_t* heads_;
};

}  // namespace potstill
