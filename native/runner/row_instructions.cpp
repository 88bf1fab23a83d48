#include <algorithm>
#include <limits>

#include "kernels/activations.hpp"
#include "kernels/norms.hpp"
#include "kernels/rope.hpp"
#include "kernels/simd.hpp"
#include "kernels/threads.hpp"
#include "runner/instructions.hpp"

namespace potstill {
namespace {

POTSTILL_CLONES void scale_row(const float* x, std::size_t size, float scale, float* out) {
    for (std::size_t i = 0; i < size; ++i) out[i] = x[i] * scale;
}

POTSTILL_CLONES void add_row(const float* x, std::size_t size, float scale, float* out) {
    for (std::size_t i = 0; i < size; ++i) out[i] += x[i] * scale;
}

// A position's row of a table of them is added, in pieces: a thread of a team could not report that there is
// no memory for all of it.
void add_table_row(const PackedMatrix& table, std::size_t row, float* out) {
    constexpr std::size_t kPiece = 1024;
    float piece[kPiece];
    for (std::size_t first = 0; first < table.columns(); first += kPiece) {
        const std::size_t count = std::min(kPiece, table.columns() - first);
        table.read_columns(row, first, count, piece);
        add_row(piece, count, 1.0F, out + first);
    }
}

void store_row(const float* x, std::size_t size, float* out) { std::copy_n(x, size, out); }

POTSTILL_CLONES void store_row(const float* x, std::size_t size, bf16* out) {
    for (std::size_t i = 0; i < size; ++i) out[i] = round_to_bf16(x[i]);
}

}  // namespace

void RowInstruction::run(const Run& run, RunThread& thread) const {
    const Share share = share_of(run.rows_in(space_), thread.index, thread.count);
    for (std::size_t row = share.begin; row < share.end; ++row) run_row(run, row);
}

std::size_t Embed::num_positions() const {
    if (positions_ == nullptr) return std::numeric_limits<std::size_t>::max();
    return positions_->rows() - std::min(offset_, positions_->rows());
}

void Embed::run_row(const Run& run, std::size_t row) const {
    float* out = run.buffers->row(out_, row);
    table_.read_row(static_cast<std::size_t>(run.in.token_ids[row]), out);
    if (scale_ != 1.0F) scale_row(out, out_.width, scale_, out);
    if (positions_ == nullptr) return;
    add_table_row(*positions_, static_cast<std::size_t>(run.in.positions[row]) + offset_, out);
}

void Norm::run_row(const Run& run, std::size_t row) const {
    const NormWeights weights{weight_.data(), bias_.empty() ? nullptr : bias_.data(), settings_.eps};
    const float* x = run.buffers->row(x_, row);
    float* out = run.buffers->row(out_, row);
    const std::size_t size = x_.width / settings_.num_heads;
    const auto normalise = settings_.is_rms ? rms_norm : layer_norm;
    for (std::size_t head = 0; head < settings_.num_heads; ++head) {
        normalise(x + head * size, size, weights, settings_.accumulate, out + head * size);
    }
}

void Rotation::run_row(const Run& run, std::size_t row) const {
    fill_rotation(run.in.positions[row], frequencies_.data(), frequencies_.size(),
                  run.buffers->row(table_, row));
}

void Rotate::run_row(const Run& run, std::size_t row) const {
    rotate_heads(run.buffers->row(x_, row), num_heads_, x_.width / num_heads_, run.buffers->row(table_, row),
                 table_.width / 2);
}

void Store::run_row(const Run& run, std::size_t row) const {
    const CacheArrays& cache = run.in.cache;
    const std::size_t size = keys_.width, at = static_cast<std::size_t>(run.in.slots[row]) * size;
    const float *keys = run.buffers->row(keys_, row), *values = run.buffers->row(values_, row);
    const auto store = [&]<typename T>(T) {
        store_row(keys, size, cache.layer<T>(cache.keys, layer_) + at);
        store_row(values, size, cache.layer<T>(cache.values, layer_) + at);
    };
    cache.is_bf16 ? store(bf16{}) : store(float{});
}

void Gate::run_row(const Run& run, std::size_t row) const {
    const Buffers& buffers = *run.buffers;
    gate(buffers.row(a_, row), buffers.row(b_, row), a_.width, act_, buffers.row(out_, row));
}

void Add::run_row(const Run& run, std::size_t row) const {
    const auto write = accumulate_ ? add_row : scale_row;
    write(run.buffers->row(x_, row), x_.width, scale_, run.buffers->row(out_, row));
}

void Select::run_row(const Run& run, std::size_t row) const {
    std::copy_n(run.buffers->row(x_, static_cast<std::size_t>(run.in.wanted[row])), x_.width,
                run.buffers->row(out_, row));
}

void Softcap::run_row(const Run& run, std::size_t row) const {
    softcap(run.buffers->row(x_, row), x_.width, cap_);
}

}  // namespace potstill
