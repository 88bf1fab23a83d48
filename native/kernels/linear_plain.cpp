#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/linear_tiles.hpp"
#include "kernels/simd.hpp"

namespace potstill {
namespace {

// Rows and a panel as floats, or kGroup columns of them. The whole numbers of int8 too: their products and
// the sums of 64 of those stay below 2^24, so float holds them exactly.
struct FloatTile {
    std::size_t columns;
    const float* w;  // [columns][kLanes]
    const float* x;
    std::size_t x_stride;
};

struct Room {
    float w[kGroup * kLanes];
    float x[kTileRows * kGroup];
    float dots[kTileRows * kLanes];
};

static_assert(std::endian::native == std::endian::little);

// A lane's neighbours in one word: `lanes` [columns / 2][kLanes].
POTSTILL_CLONES void widen_pairs(const std::uint32_t* lanes, std::size_t columns, float* out) {
    for (std::size_t k = 0; k < columns; k += 2, lanes += kLanes, out += 2 * kLanes) {
        for (std::size_t n = 0; n < kLanes; ++n) out[n] = std::bit_cast<float>(lanes[n] << 16);
        for (std::size_t n = 0; n < kLanes; ++n)
            out[kLanes + n] = std::bit_cast<float>(lanes[n] & 0xffff0000U);
    }
}

// The same of four bytes q + 128, kGroup columns.
POTSTILL_CLONES void widen_fours(const std::uint32_t* lanes, float* out) {
    for (std::size_t k = 0; k < kGroup; k += 4, lanes += kLanes) {
        for (unsigned shift = 0; shift < 32; shift += 8, out += kLanes) {
            for (std::size_t n = 0; n < kLanes; ++n) {
                out[n] = static_cast<float>(static_cast<std::int32_t>((lanes[n] >> shift) & 0xffU) - 128);
            }
        }
    }
}

// Two rows at a time, for the sums of both fit into the registers of most processors.
POTSTILL_CLONES void add_products(const FloatTile& tile, const float* x, const float* x2, float* sums,
                                  float* sums2) {
    float y[kLanes], y2[kLanes];
    std::copy_n(sums, kLanes, y);
    std::copy_n(sums2, kLanes, y2);
    for (std::size_t k = 0; k < tile.columns; ++k) {
        const float* w = tile.w + k * kLanes;
        for (std::size_t n = 0; n < kLanes; ++n) y[n] += x[k] * w[n];
        for (std::size_t n = 0; n < kLanes; ++n) y2[n] += x2[k] * w[n];
    }
    std::copy_n(y, kLanes, sums);
    std::copy_n(y2, kLanes, sums2);
}

void add_products(const FloatTile& tile, std::size_t num_rows, float* sums) {
    float none[kLanes] = {};
    for (std::size_t r = 0; r < num_rows; r += 2) {
        const bool is_last = r + 1 == num_rows;
        const float* x = tile.x + r * tile.x_stride;
        add_products(tile, x, is_last ? x : x + tile.x_stride, sums + r * kLanes,
                     is_last ? none : sums + (r + 1) * kLanes);
    }
}

POTSTILL_CLONES void add_scaled(const float* dots, float x_scale, const bf16* scales, float* sums) {
    for (std::size_t n = 0; n < kLanes; ++n) sums[n] += dots[n] * x_scale * widen(scales[n]);
}

const std::uint32_t* words(const std::byte* w) { return reinterpret_cast<const std::uint32_t*>(w); }

void multiply_float(const MatrixTile& tile) {
    std::fill_n(tile.sums, tile.num_rows * kLanes, 0.0F);
    add_products({tile.columns, reinterpret_cast<const float*>(tile.w),
                  reinterpret_cast<const float*>(tile.x), tile.record_bytes / sizeof(float)},
                 tile.num_rows, tile.sums);
}

void multiply_bf16(const MatrixTile& tile) {
    std::fill_n(tile.sums, tile.num_rows * kLanes, 0.0F);
    Room room;
    for (std::size_t first = 0; first < tile.columns; first += kGroup) {
        const std::size_t count = round_up_to(std::min(kGroup, tile.columns - first), 2);
        widen_pairs(words(tile.w) + first / 2 * kLanes, count, room.w);
        for (std::size_t r = 0; r < tile.num_rows; ++r) {
            const auto* x = reinterpret_cast<const bf16*>(tile.x + r * tile.record_bytes) + first;
            std::transform(x, x + count, room.x + r * kGroup, [](bf16 input) { return widen(input); });
        }
        add_products({count, room.w, room.x, kGroup}, tile.num_rows, tile.sums);
    }
}

void multiply_int8(const MatrixTile& tile) {
    std::fill_n(tile.sums, tile.num_rows * kLanes, 0.0F);
    Room room;
    const std::size_t groups = num_groups(tile.columns);
    for (std::size_t group = 0; group < groups; ++group) {
        const std::byte* w = tile.w + group * kGroupBytes;
        widen_fours(words(w + kScaleBytes), room.w);
        for (std::size_t r = 0; r < tile.num_rows; ++r) {
            const auto* x =
                reinterpret_cast<const std::int8_t*>(tile.x + r * tile.record_bytes) + group * kGroup;
            std::copy_n(x, kGroup, room.x + r * kGroup);
        }
        std::fill_n(room.dots, tile.num_rows * kLanes, 0.0F);
        add_products({kGroup, room.w, room.x, kGroup}, tile.num_rows, room.dots);
        for (std::size_t r = 0; r < tile.num_rows; ++r) {
            const std::byte* scales = tile.x + r * tile.record_bytes + groups * kGroup;
            add_scaled(room.dots + r * kLanes, reinterpret_cast<const float*>(scales)[group],
                       reinterpret_cast<const bf16*>(w), tile.sums + r * kLanes);
        }
    }
}

}  // namespace

TileKernel plain_kernel(WeightKind kind) {
    switch (kind) {
        case WeightKind::float32:
            return multiply_float;
        case WeightKind::bfloat16:
            return multiply_bf16;
        case WeightKind::int8:
            break;
    }
    return multiply_int8;
}

}  // namespace potstill
