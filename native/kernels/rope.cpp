#include "kernels/rope.hpp"

#include "kernels/simd.hpp"

namespace potstill {
namespace {

// Reduction by quarter turns in double, then Taylor polynomials on [-pi/4, pi/4].
POTSTILL_INLINE void sine_and_cosine(float angle, float& sine, float& cosine) {
    const double turns = static_cast<double>(angle) * 0.63661977236758134;  // 2 / pi
    const double shifted = turns + 6755399441055744.0;  // 1.5 * 2^52: to the nearest integer
    const double quarter = shifted - 6755399441055744.0;
    const auto low_bits = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(shifted));
    const auto r = static_cast<float>((turns - quarter) * 1.5707963267948966);
    const float s = r * r;
    float p = 1.0F / 362880.0F;
    p = p * s - 1.0F / 5040.0F;
    p = p * s + 1.0F / 120.0F;
    p = p * s - 1.0F / 6.0F;
    const float sin_r = r + r * s * p;
    float q = -1.0F / 3628800.0F;
    q = q * s + 1.0F / 40320.0F;
    q = q * s - 1.0F / 720.0F;
    q = q * s + 1.0F / 24.0F;
    q = q * s - 0.5F;
    const float cos_r = 1.0F + s * q;
    const bool is_swapped = (low_bits & 1U) != 0;
    const float a = is_swapped ? cos_r : sin_r, b = is_swapped ? sin_r : cos_r;
    sine = (low_bits & 2U) != 0 ? -a : a;
    cosine = ((low_bits + 1U) & 2U) != 0 ? -b : b;
}

}  // namespace

POTSTILL_CLONES void fill_rotation(std::int64_t position, const float* frequencies, std::size_t half,
                                   float* table) {
    const auto at = static_cast<float>(position);
    for (std::size_t i = 0; i < half; ++i) {
        sine_and_cosine(at * frequencies[i], table[half + i], table[i]);
    }
}

POTSTILL_CLONES void rotate_heads(float* x, std::size_t num_heads, std::size_t head_size, const float* table,
                                  std::size_t half) {
    for (std::size_t head = 0; head < num_heads; ++head) {
        float *first = x + head * head_size, *second = first + half;
        for (std::size_t i = 0; i < half; ++i) {
            const float a = first[i], b = second[i], cosine = table[i], sine = table[half + i];
            first[i] = a * cosine - b * sine;
            second[i] = b * cosine + a * sine;
        }
    }
}

}  // namespace potstill
