// Numbers the kernels read, named once.
#pragma once

#include <bit>
#include <cstdint>

namespace potstill {

using BlockId = std::int32_t;
using TokenId = std::int32_t;

// The upper half of an IEEE float: widening is exact.
struct bf16 {
    std::uint16_t bits;
};

inline float widen(bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }
inline float widen(float x) { return x; }

}  // namespace potstill
