#include "kernels/norms.hpp"

#include <cmath>

#include "kernels/simd.hpp"

namespace potstill {
namespace {

// out = (x - mean) * rate * weight + bias, or that added to out.
POTSTILL_INLINE void write_row(const float* x, std::size_t size, float mean, float rate,
                               const NormWeights& norm, bool accumulate, float* out) {
    for (std::size_t i = 0; i < size; ++i) {
        float y = (x[i] - mean) * rate * norm.weight[i];
        if (norm.bias != nullptr) y += norm.bias[i];
        out[i] = accumulate ? out[i] + y : y;
    }
}

}  // namespace

POTSTILL_CLONES void rms_norm(const float* x, std::size_t size, const NormWeights& norm, bool accumulate,
                              float* out) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < size; ++i) sum += x[i] * x[i];
    const float rate = 1.0F / std::sqrt(sum / static_cast<float>(size) + norm.eps);
    write_row(x, size, 0, rate, norm, accumulate, out);
}

POTSTILL_CLONES void layer_norm(const float* x, std::size_t size, const NormWeights& norm, bool accumulate,
                                float* out) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < size; ++i) sum += x[i];
    const float mean = sum / static_cast<float>(size);
    float square = 0;
#pragma omp simd reduction(+ : square)
    for (std::size_t i = 0; i < size; ++i) square += (x[i] - mean) * (x[i] - mean);
    const float rate = 1.0F / std::sqrt(square / static_cast<float>(size) + norm.eps);
    write_row(x, size, mean, rate, norm, accumulate, out);
}

}  // namespace potstill
