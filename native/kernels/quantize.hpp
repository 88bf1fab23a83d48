// The inputs of a matrix product in the form that the kernel of a kind of weights wants.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.hpp"

namespace potstill {

// Rows of inputs, each a record of its own:
//   float32   [columns] floats
//   bfloat16  [columns], rounded to nearest even, padded with a zero to an even number
//   int8      q in [-127, 127] [columns, padded with zeros to a multiple of the group], then a float scale a
//   group,
//             then -128 times the sum of q a group, as int32: what the kernel's sums begin at, since the
//             weights' bytes are q + 128
// A group with NaN or an infinity has q = 0 and the scale NaN, so every output of the row is NaN.
class Activations {
  public:
    // Room for that many rows and columns of any kind.
    void reserve(std::size_t max_rows, std::size_t max_columns);

    // Every thread of a team calls this, and a barrier follows. x [num_rows, columns], `stride` floats from
    // row to row.
    void prepare(std::size_t thread, std::size_t num_threads, const float* x, std::size_t num_rows,
                 std::size_t columns, std::size_t stride, WeightKind kind);

    const std::byte* data() const { return bytes_.data(); }

    // Bytes from one record to the next.
    static std::size_t record_bytes(std::size_t columns, WeightKind kind);

  private:
    AlignedBytes bytes_;
};

}  // namespace potstill
