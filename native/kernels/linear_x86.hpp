// What the kernels for AVX512 share.
#pragma once

#include "kernels/linear_tiles.hpp"

#ifdef POTSTILL_X86_KERNELS

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined vectors of its own header for mistakes (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

// Arrays of vectors stay in registers only where the loops over them are unrolled whole.
#ifdef __clang__
#define POTSTILL_UNROLL _Pragma("unroll")
#else
#define POTSTILL_UNROLL _Pragma("GCC unroll 16")
#endif
// The same where it serves speed alone: each check of a sanitizer would be compiled sixteen times.
#ifdef __SANITIZE_ADDRESS__
#define POTSTILL_UNROLL_FOR_SPEED
#else
#define POTSTILL_UNROLL_FOR_SPEED POTSTILL_UNROLL
#endif

namespace potstill {

// Fetches the lines that belong to one group of columns, and gives where the next begin.
inline const std::byte* fetch_ahead(const std::byte* ahead, const MatrixTile& tile) {
    const std::byte* end = ahead + tile.lines_ahead * 64;
    if (tile.is_near) {
        for (; ahead != end; ahead += 64) __builtin_prefetch(ahead, 0, 3);
    } else {
        for (; ahead != end; ahead += 64) __builtin_prefetch(ahead, 0, 2);
    }
    return end;
}

}  // namespace potstill

#endif
