// What inner loops need so that the compiler writes vector code for each kind of processor.
//
// A loop stands in a function marked POTSTILL_CLONES, which is compiled once for each x86-64 level and chosen
// when the module is loaded. What it calls is marked POTSTILL_INLINE: a call that is not inlined would run at
// the lowest.
#pragma once

#include <bit>
#include <cstdint>

#ifdef POTSTILL_HAS_CLONES
#define POTSTILL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define POTSTILL_CLONES
#endif

#if defined(__GNUC__) || defined(__clang__)
#define POTSTILL_INLINE inline __attribute__((always_inline))
#else
#define POTSTILL_INLINE inline
#endif

namespace potstill {

// e^x for x <= 0, within 2 units in the last place; 0 below -87, where floats become subnormal.
// Cody-Waite reduction to [-ln 2 / 2, ln 2 / 2] and the Taylor polynomial of degree 7: no branch, so it
// vectorizes.
POTSTILL_INLINE float exp_nonpositive(float x) {
    const float clamped = x > -87.0F ? x : -87.0F;
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the mantissa.
    const float shifted = clamped * 1.44269504F + 12582912.0F;
    const float n = shifted - 12582912.0F;
    const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
    float p = 1.0F / 5040.0F;
    p = p * r + 1.0F / 720.0F;
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    const auto power = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
    return x > -87.0F ? p * power : 0.0F;
}

}  // namespace potstill
