// The inner part of a product: a tile of a few rows by a few panels, over all columns.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.hpp"

namespace potstill {

constexpr std::size_t kTileRows = 8;
constexpr std::size_t kTilePanels = 2;

// One tile. `sums` [num_rows][kTilePanels * kLanes] is written.
struct MatrixTile {
    const std::byte* x;  // the records of Activations, of the first row
    std::size_t record_bytes;
    std::size_t num_rows;  // in [1, kTileRows]
    const std::byte* w;    // the first panel
    std::size_t panel_bytes;
    std::size_t num_panels;  // in [1, kTilePanels]
    std::size_t columns;
    float* sums;
};

using TileKernel = void (*)(const MatrixTile&);

// For any processor; the truth of the others.
TileKernel plain_kernel(WeightKind kind);

// The one for this processor and this kind, plain_kernel where there is none or where the environment says
// POTSTILL_PLAIN_KERNELS=1 when it is first asked.
TileKernel best_kernel(WeightKind kind);

}  // namespace potstill
