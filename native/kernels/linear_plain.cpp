#include <algorithm>
#include <cstdint>

#include "kernels/linear_tiles.hpp"
#include "kernels/simd.hpp"

namespace potstill {
namespace {

POTSTILL_CLONES void multiply_float(const float* x, const float* w, std::size_t columns, float* sums) {
    float y[kLanes] = {};
    for (std::size_t k = 0; k < columns; ++k) {
        for (std::size_t n = 0; n < kLanes; ++n) y[n] += x[k] * w[k * kLanes + n];
    }
    std::copy_n(y, kLanes, sums);
}

POTSTILL_CLONES void multiply_bf16(const bf16* x, const bf16* w, std::size_t columns, float* sums) {
    float y[kLanes] = {};
    for (std::size_t k = 0; k < columns; k += 2, w += 2 * kLanes) {
        const float first = widen(x[k]), second = widen(x[k + 1]);
        for (std::size_t n = 0; n < kLanes; ++n)
            y[n] += second * widen(w[2 * n + 1]) + first * widen(w[2 * n]);
    }
    std::copy_n(y, kLanes, sums);
}

POTSTILL_CLONES void multiply_int8(const std::int8_t* x, const std::byte* w, std::size_t groups,
                                   float* sums) {
    const auto* x_scales = reinterpret_cast<const float*>(x + groups * kGroup);
    const auto* starts = reinterpret_cast<const std::int32_t*>(x_scales + groups);
    float y[kLanes] = {};
    for (std::size_t group = 0; group < groups; ++group, w += kGroupBytes) {
        const auto* scales = reinterpret_cast<const bf16*>(w);
        const auto* q = reinterpret_cast<const std::uint8_t*>(w + kScaleBytes);
        std::int32_t dots[kLanes];
        std::fill_n(dots, kLanes, starts[group]);
        for (std::size_t k = 0; k < kGroup; k += 4, x += 4, q += 4 * kLanes) {
            for (std::size_t n = 0; n < kLanes; ++n) {
                dots[n] += x[0] * q[4 * n] + x[1] * q[4 * n + 1] + x[2] * q[4 * n + 2] + x[3] * q[4 * n + 3];
            }
        }
        for (std::size_t n = 0; n < kLanes; ++n) {
            y[n] += static_cast<float>(dots[n]) * x_scales[group] * widen(scales[n]);
        }
    }
    std::copy_n(y, kLanes, sums);
}

void multiply(const std::byte* x, const MatrixTile& tile, WeightKind kind, float* sums) {
    switch (kind) {
        case WeightKind::float32:
            return multiply_float(reinterpret_cast<const float*>(x), reinterpret_cast<const float*>(tile.w),
                                  tile.columns, sums);
        case WeightKind::bfloat16:
            return multiply_bf16(reinterpret_cast<const bf16*>(x), reinterpret_cast<const bf16*>(tile.w),
                                 tile.columns, sums);
        case WeightKind::int8:
            return multiply_int8(reinterpret_cast<const std::int8_t*>(x), tile.w, num_groups(tile.columns),
                                 sums);
    }
}

template <WeightKind kKind>
void multiply_tile(const MatrixTile& tile) {
    for (std::size_t r = 0; r < tile.num_rows; ++r) {
        multiply(tile.x + r * tile.record_bytes, tile, kKind, tile.sums + r * kLanes);
    }
}

}  // namespace

TileKernel plain_kernel(WeightKind kind) {
    switch (kind) {
        case WeightKind::float32:
            return multiply_tile<WeightKind::float32>;
        case WeightKind::bfloat16:
            return multiply_tile<WeightKind::bfloat16>;
        case WeightKind::int8:
            break;
    }
    return multiply_tile<WeightKind::int8>;
}

}  // namespace potstill
