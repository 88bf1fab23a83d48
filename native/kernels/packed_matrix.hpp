// A weight matrix in the order in which the kernels of linear.hpp read it: made once, read at every step.
//
// Outputs stand in panels of 16, one vector lane each, and a panel's weights lie one after the other:
//   float32   [columns][16]
//   bfloat16  [columns / 2][16][2], columns padded with zeros to an even number
//   int8      bfloat16 scales [groups][16], padded to 64 bytes; then q + 128 as bytes [columns / 4][16][4],
//   columns
//             padded with zeros to a multiple of the group. A weight is scale * q with q in [-127, 127].
// Outputs are padded to a multiple of 16 with zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "kernels/types.hpp"

namespace potstill {

enum class WeightKind : std::uint8_t { float32, bfloat16, int8 };

constexpr std::size_t kLanes = 16;  // outputs of a panel
constexpr std::size_t kGroup = 64;  // columns that share a scale

constexpr std::size_t round_up_to(std::size_t count, std::size_t step) {
    return (count + step - 1) / step * step;
}
constexpr std::size_t num_groups(std::size_t columns) { return (columns + kGroup - 1) / kGroup; }

// Zeroed memory that begins at a cache line; std::bad_alloc where there is too little.
class AlignedBytes {
  public:
    AlignedBytes() = default;
    explicit AlignedBytes(std::size_t size);

    std::byte* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }

  private:
    struct Free {
        void operator()(std::byte* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<std::byte, Free> bytes_;
    std::size_t size_ = 0;
};

// y = x W^T with W [rows = outputs, columns = inputs].
class PackedMatrix {
  public:
    // Throws std::invalid_argument where weights to be rounded to int8 hold NaN or infinity.
    static PackedMatrix pack(const float* weights, std::size_t rows, std::size_t columns, WeightKind kind);
    static PackedMatrix pack(const bf16* weights, std::size_t rows, std::size_t columns, WeightKind kind);

    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }
    WeightKind kind() const { return kind_; }
    std::size_t bytes() const { return bytes_.size(); }

    // Row `row` < rows() as the kernels see it, [columns].
    void read_row(std::size_t row, float* out) const;

    std::size_t num_panels() const { return (rows_ + kLanes - 1) / kLanes; }
    std::size_t panel_bytes() const { return panel_bytes_; }
    const std::byte* panel(std::size_t index) const { return bytes_.data() + index * panel_bytes_; }

  private:
    PackedMatrix(std::size_t rows, std::size_t columns, WeightKind kind);
    template <typename T>
    static PackedMatrix pack_any(const T* weights, std::size_t rows, std::size_t columns, WeightKind kind);

    std::size_t rows_, columns_;
    WeightKind kind_;
    std::size_t panel_bytes_;
    AlignedBytes bytes_;
};

// Where a panel of int8 weights begins its bytes, after its scales.
constexpr std::size_t scale_bytes(std::size_t columns) {
    return round_up_to(num_groups(columns) * kLanes * sizeof(bf16), 64);
}

}  // namespace potstill
