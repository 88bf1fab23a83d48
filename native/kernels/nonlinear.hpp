// The activation functions of a layer, one number at a time and without branches, so that loops vectorize.
#pragma once

#include "kernels/simd.hpp"

namespace potstill {

enum class Act : std::uint8_t { none, silu, gelu_tanh, gelu, relu };

POTSTILL_INLINE float sigmoid(float x) {
    const float e = exp_nonpositive(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0F) / (1.0F + e);
}

// x * sigmoid(x).
POTSTILL_INLINE float silu(float x) { return x * sigmoid(x); }

// Hendrycks and Gimpel 2016 (arXiv:1606.08415, section 2); (1 + tanh z) / 2 is sigmoid(2 z).
POTSTILL_INLINE float gelu_tanh(float x) { return x * sigmoid(1.5957691216F * (x + 0.044715F * x * x * x)); }

// x times the normal distribution function, by Abramowitz and Stegun's formula 7.1.26: within 2e-7 of it.
POTSTILL_INLINE float gelu(float x) {
    const float z = (x < 0 ? -x : x) * 0.70710678118F;
    const float t = 1.0F / (1.0F + 0.3275911F * z);
    float p = 1.061405429F;
    p = p * t - 1.453152027F;
    p = p * t + 1.421413741F;
    p = p * t - 0.284496736F;
    p = p * t + 0.254829592F;
    const float tail = 0.5F * p * t * exp_nonpositive(-z * z);
    return x * (x < 0 ? tail : 1.0F - tail);
}

// NaN stays.
POTSTILL_INLINE float relu(float x) { return x < 0 ? 0.0F : x; }

POTSTILL_INLINE float activate(float x, Act act) {
    switch (act) {
        case Act::silu:
            return silu(x);
        case Act::gelu_tanh:
            return gelu_tanh(x);
        case Act::gelu:
            return gelu(x);
        case Act::relu:
            return relu(x);
        case Act::none:
            break;
    }
    return x;
}

}  // namespace potstill
