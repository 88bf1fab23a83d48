#include "kernels/linear.hpp"

#include <algorithm>
#include <atomic>

#include "kernels/linear_tiles.hpp"
#include "kernels/simd.hpp"
#include "kernels/threads.hpp"

#ifdef POTSTILL_X86_KERNELS
#include <xmmintrin.h>
#endif

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

#ifdef POTSTILL_X86_KERNELS
// Whether `out` is so large that it leaves the caches before it is read. It is then written past them, for a
// line that is not there would be read from memory only to be overwritten.
bool is_streamed(const float* out, std::size_t num_rows, std::size_t out_stride, const Epilogue& epilogue) {
    constexpr std::size_t kLarge = std::size_t{1} << 20;  // floats
    const bool is_bare = epilogue.bias == nullptr && epilogue.act == Act::none && !epilogue.accumulate;
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(out) % 16 == 0 && out_stride % 4 == 0;
    return is_bare && is_aligned && num_rows * out_stride >= kLarge;
}

void stream(const MatrixTile& tile, float* out, std::size_t out_stride) {
    for (std::size_t r = 0; r < tile.num_rows; ++r) {
        for (std::size_t n = 0; n < kLanes; n += 4) {
            _mm_stream_ps(out + r * out_stride + n, _mm_load_ps(tile.sums + r * kLanes + n));
        }
    }
}

// Before a barrier: what was written past the caches is seen by other threads.
void end_stream() { _mm_sfence(); }
#else
bool is_streamed(const float*, std::size_t, std::size_t, const Epilogue&) { return false; }
void stream(const MatrixTile&, float*, std::size_t) {}
void end_stream() {}
#endif

// Neighbours that a thread takes at a time. A thread that other work slows down takes fewer of them, and is
// waited for only as long as its last ones last.
std::size_t panels_at_once(std::size_t num_panels, std::size_t num_threads) {
    constexpr std::size_t kChunks = 4, kMost = 64;
    return std::clamp(num_panels / (num_threads * kChunks), std::size_t{1}, kMost);
}

constexpr std::size_t kNear = 8192;  // bytes that are on their way while a panel is read once

// What a row block fetches while it computes, so that memory is read without a pause. A panel that only one
// block reads is fetched a little before it is read; else all blocks together fetch the panel after this one.
void look_ahead(MatrixTile& tile, std::size_t panel_bytes, std::size_t block, std::size_t num_blocks) {
    const std::size_t lines = (panel_bytes + 63) / 64,
                      steps = std::max<std::size_t>(num_groups(tile.columns), 1);
    tile.is_near = num_blocks == 1;
    tile.lines_ahead = (lines + num_blocks * steps - 1) / (num_blocks * steps);
    const std::size_t begin = block * steps * tile.lines_ahead;
    tile.ahead = tile.w + (tile.is_near ? kNear : panel_bytes + begin * 64);
    if (begin >= lines) tile.lines_ahead = 0;
}

}  // namespace

void linear(std::size_t num_threads, std::atomic<std::size_t>& next, const Activations& x,
            std::size_t num_rows, const PackedMatrix& w, float* out, std::size_t out_stride,
            const Epilogue& epilogue) {
    const TileKernel multiply = best_kernel(w.kind());
    const std::size_t chunk = panels_at_once(w.num_panels(), num_threads);
    const std::size_t num_blocks = (num_rows + kTileRows - 1) / kTileRows;
    const bool past_caches = is_streamed(out, num_rows, out_stride, epilogue);
    alignas(64) float sums[kTileRows * kLanes];
    MatrixTile tile{};
    tile.record_bytes = Activations::record_bytes(w.columns(), w.kind());
    tile.columns = w.columns();
    tile.sums = sums;
    for (std::size_t begin; (begin = next.fetch_add(chunk, std::memory_order_relaxed)) < w.num_panels();) {
        const std::size_t end = std::min(begin + chunk, w.num_panels());
        // Of a panel that is fetched a little ahead, most is its own: another thread may take the next.
        const std::size_t last_ahead = num_blocks == 1 ? w.num_panels() : end;
        for (std::size_t panel = begin; panel < end; ++panel) {
            const std::size_t output = panel * kLanes, count = std::min(kLanes, w.rows() - output);
            tile.w = w.panel(panel);
            for (std::size_t block = 0; block < num_blocks; ++block) {
                const std::size_t row = num_rows * block / num_blocks;
                tile.num_rows = num_rows * (block + 1) / num_blocks - row;
                tile.x = x.data() + row * tile.record_bytes;
                tile.lines_ahead = 0;
                if (panel + 1 < last_ahead) look_ahead(tile, w.panel_bytes(), block, num_blocks);
                multiply(tile);
                float* at = out + row * out_stride;
                if (past_caches && count == kLanes) {
                    stream(tile, at + output, out_stride);
                } else {
                    finish(tile, epilogue, output, count, at, out_stride);
                }
            }
        }
    }
    if (past_caches) end_stream();
}

void linear_by_team(const float* x, std::size_t num_rows, const PackedMatrix& w, float* out,
                    const Epilogue& epilogue) {
    Activations prepared;
    prepared.reserve(num_rows, w.columns());
    std::atomic<std::size_t> next{0};
    TeamBarrier barrier;
#pragma omp parallel
    {
        const auto thread = static_cast<std::size_t>(thread_index());
        const auto num_threads = static_cast<std::size_t>(team_size());
        prepared.prepare(thread, num_threads, x, num_rows, w.columns(), w.columns(), w.kind());
        barrier.wait(num_threads);
        linear(num_threads, next, prepared, num_rows, w, out, w.rows(), epilogue);
    }
}

}  // namespace potstill
