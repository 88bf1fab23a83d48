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

// One row of a panel: `count` of its outputs exist.
POTSTILL_INLINE void finish_row(float* y, const Epilogue& epilogue, std::size_t first, std::size_t count,
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

// The tile's rows of outputs first .. first + count.
POTSTILL_CLONES void finish(const MatrixTile& tile, const Epilogue& epilogue, std::size_t first,
                            std::size_t count, float* out, std::size_t out_stride) {
    for (std::size_t r = 0; r < tile.num_rows; ++r) {
        finish_row(tile.sums + r * kLanes, epilogue, first, count, out + r * out_stride);
    }
}

// Which part of the panel after this one a row block fetches: all blocks together fetch it once, so that it
// is there when its turn comes and memory is read without a pause.
void look_ahead(MatrixTile& tile, const std::byte* next, std::size_t panel_bytes, std::size_t block,
                std::size_t num_blocks) {
    const std::size_t lines = (panel_bytes + 63) / 64, steps = num_groups(tile.columns);
    tile.lines_ahead = (lines + num_blocks * steps - 1) / std::max<std::size_t>(num_blocks * steps, 1);
    const std::size_t begin = block * steps * tile.lines_ahead;
    if (next == nullptr || begin >= lines) {
        tile.lines_ahead = 0;
        return;
    }
    tile.ahead = next + begin * 64;
}

}  // namespace

void linear(std::size_t thread, std::size_t num_threads, const Activations& x, std::size_t num_rows,
            const PackedMatrix& w, float* out, std::size_t out_stride, const Epilogue& epilogue) {
    const TileKernel multiply = best_kernel(w.kind());
    const Share panels = share_of(w.num_panels(), thread, num_threads);
    const std::size_t num_blocks = (num_rows + kTileRows - 1) / kTileRows;
    alignas(64) float sums[kTileRows * kLanes];
    MatrixTile tile{};
    tile.record_bytes = Activations::record_bytes(w.columns(), w.kind());
    tile.columns = w.columns();
    tile.sums = sums;
    for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
        const std::size_t output = panel * kLanes, count = std::min(kLanes, w.rows() - output);
        tile.w = w.panel(panel);
        for (std::size_t block = 0; block < num_blocks; ++block) {
            const std::size_t row = num_rows * block / num_blocks;
            tile.num_rows = num_rows * (block + 1) / num_blocks - row;
            tile.x = x.data() + row * tile.record_bytes;
            look_ahead(tile, panel + 1 < panels.end ? w.panel(panel + 1) : nullptr, w.panel_bytes(), block,
                       num_blocks);
            multiply(tile);
            finish(tile, epilogue, output, count, out + row * out_stride, out_stride);
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
        wait_for_team();
        linear(thread, num_threads, prepared, num_rows, w, out, w.rows(), epilogue);
    }
}

}  // namespace potstill
