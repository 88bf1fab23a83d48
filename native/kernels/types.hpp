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

// To nearest, ties to even; NaN stays.
inline bf16 round_to_bf16(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
    return {static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40U
                                              : (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

}  // namespace potstill
