#include "kernels/linear.hpp"

#include <algorithm>

#include "kernels/linear_tiles.hpp"
#include "kernels/simd.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

template <Act kAct>
POTSTILL_INLINE void finish_lanes(float* y) {
    for (std::size_t n = 0; n < kLanes; ++n) y[n] = activate(y[n], kAct);
}

POTSTILL_INLINE void activate_lanes(float* y, Act act) {
    switch (act) {
        case Act::none:
            return;
        case Act::silu:
            return finish_lanes<Act::silu>(y);
        case Act::gelu_tanh:
            return finish_lanes<Act::gelu_tanh>(y);
        case Act::gelu:
            return finish_lanes<Act::gelu>(y);
        case Act::relu:
            return finish_lanes<Act::relu>(y);
    }
}

// One panel of one row: `count` of its outputs exist.
POTSTILL_INLINE void finish_panel(float* y, const Epilogue& epilogue, std::size_t first, std::size_t count,
                                  float* out) {
    if (epilogue.bias != nullptr) {
        for (std::size_t n = 0; n < count; ++n) y[n] += epilogue.bias[first + n];
    }
    activate_lanes(y, epilogue.act);
    if (epilogue.accumulate) {
        for (std::size_t n = 0; n < count; ++n) y[n] += out[first + n];
    }
    std::copy_n(y, count, out + first);
}

// Outputs first .. end of the tile's rows, the first of which `out` begins with.
POTSTILL_CLONES void finish(const MatrixTile& tile, const Epilogue& epilogue, std::size_t first,
                            std::size_t end, float* out, std::size_t out_stride) {
    for (std::size_t r = 0; r < tile.num_rows; ++r) {
        float* y = tile.sums + r * kTilePanels * kLanes;
        for (std::size_t n = first; n < end; n += kLanes, y += kLanes) {
            finish_panel(y, epilogue, n, std::min(kLanes, end - n), out + r * out_stride);
        }
    }
}

}  // namespace

void linear(std::size_t thread, std::size_t num_threads, const Activations& x, std::size_t num_rows,
            const PackedMatrix& w, float* out, std::size_t out_stride, const Epilogue& epilogue) {
    const TileKernel multiply = best_kernel(w.kind());
    const std::size_t num_pairs = (w.num_panels() + kTilePanels - 1) / kTilePanels;
    const std::size_t first = num_pairs * thread / num_threads * kTilePanels;
    const std::size_t last = std::min(num_pairs * (thread + 1) / num_threads * kTilePanels, w.num_panels());
    alignas(64) float sums[kTileRows * kTilePanels * kLanes];
    MatrixTile tile{};
    tile.record_bytes = Activations::record_bytes(w.columns(), w.kind());
    tile.panel_bytes = w.panel_bytes();
    tile.columns = w.columns();
    tile.sums = sums;
    for (std::size_t panel = first; panel < last; panel += kTilePanels) {
        tile.w = w.panel(panel);
        tile.num_panels = std::min(kTilePanels, last - panel);
        const std::size_t end = std::min((panel + tile.num_panels) * kLanes, w.rows());
        for (std::size_t row = 0; row < num_rows; row += kTileRows) {
            tile.x = x.data() + row * tile.record_bytes;
            tile.num_rows = std::min(kTileRows, num_rows - row);
            multiply(tile);
            finish(tile, epilogue, panel * kLanes, end, out + row * out_stride, out_stride);
        }
    }
}

void linear_by_team(const float* x, std::size_t num_rows, const PackedMatrix& w, float* out,
                    const Epilogue& epilogue) {
    Activations prepared;
    prepared.reserve(num_rows, w.columns());
#pragma omp parallel
    {
        const auto thread = static_cast<std::size_t>(thread_index());
        const auto num_threads = static_cast<std::size_t>(team_size());
        prepared.prepare(thread, num_threads, x, num_rows, w.columns(), w.columns(), w.kind());
#pragma omp barrier
        linear(thread, num_threads, prepared, num_rows, w, out, w.rows(), epilogue);
    }
}

}  // namespace potstill
