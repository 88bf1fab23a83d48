// Products with int8 weights by the instruction vpdpbusd (AVX512-VNNI), which adds four products of an
// unsigned and a signed byte to each of 16 sums.
#include <atomic>
#include <cstring>

#include "kernels/linear_x86.hpp"

#ifdef POTSTILL_X86_KERNELS
#define POTSTILL_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace potstill {
namespace {

// Four bytes or one number, in all lanes.
POTSTILL_VNNI inline __m512i four_inputs(const std::byte* x) {
    std::int32_t together;
    std::memcpy(&together, x, sizeof(together));
    return _mm512_set1_epi32(together);
}

POTSTILL_VNNI inline __m512 widen_scales(const std::byte* scales) {
    const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(scales));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// sums += dots * x_scale * scales.
POTSTILL_VNNI inline void add_scaled(__m512i dots, __m512 x_scale, __m512 scales, float* sums) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), x_scale);
    _mm512_store_ps(sums, _mm512_fmadd_ps(scaled, scales, _mm512_load_ps(sums)));
}

template <std::size_t kVectors>
POTSTILL_VNNI inline void set_zero(float* sums) {
    POTSTILL_UNROLL
    for (std::size_t i = 0; i < kVectors; ++i) _mm512_store_ps(sums + 16 * i, _mm512_setzero_ps());
}

template <std::size_t R>
POTSTILL_VNNI void multiply(const MatrixTile& tile) {
    const std::size_t groups = num_groups(tile.columns), record = tile.record_bytes;
    const std::byte *x = tile.x, *x_scales = x + groups * kGroup;
    const std::byte* starts = x_scales + groups * sizeof(float);
    const std::byte *w = tile.w, *ahead = tile.ahead;
    float* sums = tile.sums;
    set_zero<2 * R>(sums);
    for (std::size_t group = 0; group < groups; ++group) {
        // The sums stay in memory: the registers are for the dot products.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        ahead = fetch_ahead(ahead, tile);
        __m512i low[R], high[R];
        POTSTILL_UNROLL
        for (std::size_t r = 0; r < R; ++r) low[r] = high[r] = four_inputs(starts + r * record);
        const __m512 low_scales = widen_scales(w), high_scales = widen_scales(w + kScaleBytes / 2);
        w += kScaleBytes;
        POTSTILL_UNROLL_FOR_SPEED
        for (std::size_t k = 0; k < kGroup / 4; ++k) {
            const __m512i low_weights = _mm512_load_si512(w + k * 4 * kLanes);
            const __m512i high_weights = _mm512_load_si512(w + k * 4 * kLanes + 64);
            POTSTILL_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                const __m512i inputs = four_inputs(x + r * record + 4 * k);
                low[r] = _mm512_dpbusd_epi32(low[r], low_weights, inputs);
                high[r] = _mm512_dpbusd_epi32(high[r], high_weights, inputs);
            }
        }
        POTSTILL_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            const __m512 x_scale = _mm512_castsi512_ps(four_inputs(x_scales + r * record));
            add_scaled(low[r], x_scale, low_scales, sums + r * kLanes);
            add_scaled(high[r], x_scale, high_scales, sums + r * kLanes + 16);
        }
        x += kGroup;
        w += kGroup * kLanes;
        x_scales += sizeof(float);
        starts += sizeof(std::int32_t);
    }
}

constexpr TileKernel kByRows[kTileRows] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                                           multiply<5>, multiply<6>, multiply<7>, multiply<8>};

void multiply_tile(const MatrixTile& tile) { kByRows[tile.num_rows - 1](tile); }

}  // namespace

TileKernel int8_kernel() {
    const bool is_able = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    return is_able ? multiply_tile : nullptr;
}

}  // namespace potstill
#endif
