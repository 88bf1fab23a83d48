// Normalisation of one row: by its root mean square (Zhang and Sennrich 2019, arXiv:1910.07467, section 4)
// and by its mean and variance (Ba et al. 2016, arXiv:1607.06450, section 3).
#pragma once

#include <cstddef>

namespace potstill {

struct NormWeights {
    const float* weight;
    const float* bias;  // null for none
    float eps;
};

// out = x / rms(x) * weight, or that added to out. x and out may be the same.
void rms_norm(const float* x, std::size_t size, const NormWeights& norm, bool accumulate, float* out);

// out = (x - mean) / deviation * weight + bias, or that added to out. x and out may be the same.
void layer_norm(const float* x, std::size_t size, const NormWeights& norm, bool accumulate, float* out);

}  // namespace potstill
