// Products with bfloat16 weights by the instruction vdpbf16ps (AVX512-BF16), which adds two products to each
// of 16 sums.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/linear_x86.hpp"

#ifdef POTSTILL_X86_KERNELS
#define POTSTILL_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace potstill {
namespace {

POTSTILL_BF16 inline __m512bh two_inputs(const std::byte* x) {
    std::int32_t together;
    std::memcpy(&together, x, sizeof(together));
    return (__m512bh)_mm512_set1_epi32(together);
}

POTSTILL_BF16 inline __m512bh weights_at(const std::byte* w) { return (__m512bh)_mm512_load_si512(w); }

template <std::size_t R>
POTSTILL_BF16 void multiply(const MatrixTile& tile) {
    const std::size_t pairs = (tile.columns + 1) / 2, record = tile.record_bytes;
    const std::byte* x = tile.x;
    const std::byte* w = tile.w;
    const std::byte* ahead = tile.ahead;
    __m512 low[R], high[R];
    POTSTILL_UNROLL
    for (std::size_t r = 0; r < R; ++r) low[r] = high[r] = _mm512_setzero_ps();
    for (std::size_t begin = 0; begin < pairs; begin += kGroup / 2) {
        ahead = fetch_ahead(ahead, tile);
        const std::byte* end = x + std::min(kGroup / 2, pairs - begin) * 4;
        for (; x < end; x += 4, w += 4 * kLanes) {
            const __m512bh low_weights = weights_at(w), high_weights = weights_at(w + 64);
            POTSTILL_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                const __m512bh inputs = two_inputs(x + r * record);
                low[r] = _mm512_dpbf16_ps(low[r], low_weights, inputs);
                high[r] = _mm512_dpbf16_ps(high[r], high_weights, inputs);
            }
        }
    }
    POTSTILL_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        _mm512_store_ps(tile.sums + r * kLanes, low[r]);
        _mm512_store_ps(tile.sums + r * kLanes + 16, high[r]);
    }
}

constexpr TileKernel kByRows[kTileRows] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                                           multiply<5>, multiply<6>, multiply<7>, multiply<8>};

void multiply_tile(const MatrixTile& tile) { kByRows[tile.num_rows - 1](tile); }

}  // namespace

TileKernel bf16_kernel() {
    const bool is_able = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
    return is_able ? multiply_tile : nullptr;
}

}  // namespace potstill
#endif
