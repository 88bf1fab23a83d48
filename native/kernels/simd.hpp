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

// e^x for x <= 0, within 2 units in the last place; 0 from -87 down, where floats become subnormal. NaN
// stays. Cody-Waite reduction to [-ln 2 / 2, ln 2 / 2] and the Taylor polynomial of degree 7: no branch, so
// it vectorizes.
POTSTILL_INLINE float exp_nonpositive(float x) {
    const float clamped = x < -87.0F ? -87.0F : x;
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
    // The integer in the bits and not of n: NaN is none.
    const auto low_bits = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(12582912.0F);
    const auto power = std::bit_cast<float>((low_bits + 127) << 23);
    return x <= -87.0F ? 0.0F : p * power;
}

// The same in double, within 4 units in the last place; 0 from -708 down.
POTSTILL_INLINE double exp_nonpositive(double x) {
    const double clamped = x < -708.0 ? -708.0 : x;
    const double shifted = clamped * 1.4426950408889634 + 6755399441055744.0;  // 1.5 * 2^52
    const double n = shifted - 6755399441055744.0;
    const double r = (clamped - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const auto low_bits =
        std::bit_cast<std::int64_t>(shifted) - std::bit_cast<std::int64_t>(6755399441055744.0);
    const auto power = std::bit_cast<double>((low_bits + 1023) << 52);
    return x <= -708.0 ? 0.0 : p * power;
}

}  // namespace potstill
