// Products with float32 weights by fused multiplication and addition of 16 numbers (AVX512F).
#include <algorithm>

#include "kernels/linear_x86.hpp"

#ifdef POTSTILL_X86_KERNELS
#define POTSTILL_AVX512 __attribute__((target("avx512f")))

namespace potstill {
namespace {

POTSTILL_AVX512 inline __m512 one_input(const std::byte* x) {
    return _mm512_set1_ps(*reinterpret_cast<const float*>(x));
}

template <std::size_t R>
POTSTILL_AVX512 void multiply(const MatrixTile& tile) {
    const std::size_t columns = tile.columns, record = tile.record_bytes;
    const std::byte* x = tile.x;
    const std::byte* w = tile.w;
    const std::byte* ahead = tile.ahead;
    __m512 low[R], high[R];
    POTSTILL_UNROLL
    for (std::size_t r = 0; r < R; ++r) low[r] = high[r] = _mm512_setzero_ps();
    for (std::size_t begin = 0; begin < columns; begin += kGroup) {
        ahead = fetch_ahead(ahead, tile);
        const std::byte* end = x + std::min(kGroup, columns - begin) * 4;
        for (; x < end; x += 4, w += 4 * kLanes) {
            const __m512 low_weights = _mm512_load_ps(w), high_weights = _mm512_load_ps(w + 64);
            POTSTILL_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                const __m512 inputs = one_input(x + r * record);
                low[r] = _mm512_fmadd_ps(low_weights, inputs, low[r]);
                high[r] = _mm512_fmadd_ps(high_weights, inputs, high[r]);
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

TileKernel float_kernel() { return __builtin_cpu_supports("avx512f") ? multiply_tile : nullptr; }

}  // namespace potstill
#endif
