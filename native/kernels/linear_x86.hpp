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

namespace potstill {

// Fetches the tile's part of the next panel that belongs to one group of columns.
inline const std::byte* fetch_ahead(const std::byte* ahead, std::size_t num_lines) {
    for (std::size_t line = 0; line < num_lines; ++line) __builtin_prefetch(ahead + line * 64, 0, 2);
    return ahead + num_lines * 64;
}

}  // namespace potstill

#endif
