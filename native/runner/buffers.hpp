// The numbers a program works on: tables of float32 with a row for each token of a run.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/packed_matrix.hpp"

namespace potstill {

// Columns `column` .. `column + width` of a buffer.
struct View {
    std::size_t buffer;
    std::size_t column;
    std::size_t width;
};

class Buffers {
  public:
    // A new buffer's number. Throws std::invalid_argument for no or absurdly many columns.
    std::size_t add(std::size_t width);

    // The same without memory of its own: `lend` says where it lies before each run.
    std::size_t add_lent(std::size_t width);
    void lend(std::size_t buffer, float* rows) { rows_[buffer] = rows; }

    // Room for that many rows in all; what was in them may be lost.
    void reserve(std::size_t num_rows);

    // Throws std::invalid_argument where the view reaches beyond its buffer.
    void check(const View& view) const;

    float* row(const View& view, std::size_t index) const {
        return rows_[view.buffer] + index * widths_[view.buffer] + view.column;
    }
    std::size_t stride(const View& view) const { return widths_[view.buffer]; }
    std::size_t bytes() const;

  private:
    std::vector<std::size_t> widths_;
    std::vector<AlignedBytes> memory_;
    std::vector<bool> is_lent_;
    std::vector<float*> rows_;
    std::size_t num_rows_ = 0;
};

}  // namespace potstill
