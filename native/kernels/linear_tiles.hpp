// The inner part of a product: a few rows by one panel of outputs, over all columns.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.hpp"

namespace potstill {

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define POTSTILL_X86_KERNELS
#endif

constexpr std::size_t kTileRows = 8;  // 16 sums of 16 numbers: half of the registers of AVX512

// One call of a kernel. `sums` [num_rows][kLanes] is written.
struct MatrixTile {
    const std::byte* x;  // the records of Activations, of the first row
    std::size_t record_bytes;
    std::size_t num_rows;  // in [1, kTileRows]
    std::size_t columns;
    const std::byte* w;  // the panel
    float* sums;
    // What this call is to fetch for those after it: that many lines of 64 bytes for each kGroup columns,
    // into the nearest cache where they are wanted at once and only once.
    const std::byte* ahead;
    std::size_t lines_ahead;
    bool is_near;
};

using TileKernel = void (*)(const MatrixTile&);

// For any processor; the truth of the others.
TileKernel plain_kernel(WeightKind kind);

// For processors of x86-64 only, which must have what the kernel asks for; nullptr where they lack it.
TileKernel int8_kernel();
TileKernel bf16_kernel();
TileKernel float_kernel();

// The one for this processor and this kind, plain_kernel where there is none or where the environment says
// POTSTILL_PLAIN_KERNELS=1 when it is first asked.
TileKernel best_kernel(WeightKind kind);

}  // namespace potstill
