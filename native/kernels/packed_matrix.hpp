// A weight matrix in the order in which the kernels of linear.hpp read it: made once, read at every step.
//
// Outputs stand in panels of 32, padded with zeros, and a panel's weights lie one after the other:
//   float32   [columns][32]
//   bfloat16  [columns / 2][32][2], columns padded with zeros to an even number
//   int8      for each group of 64 columns, padded with zeros, its scales as bfloat16 [32], then q + 128 as
//   bytes
//             [64 / 4][32][4]. A weight is scale * q with q in [-127, 127].
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "kernels/types.hpp"

namespace potstill {

enum class WeightKind : std::uint8_t { float32, bfloat16, int8 };

constexpr std::size_t kLanes = 32;  // outputs of a panel
constexpr std::size_t kGroup = 64;  // columns that share a scale
constexpr std::size_t kScaleBytes = kLanes * sizeof(bf16);
constexpr std::size_t kGroupBytes = kScaleBytes + kGroup * kLanes;  // of a panel

constexpr std::size_t round_up_to(std::size_t count, std::size_t step) {
    return (count + step - 1) / step * step;
}
constexpr std::size_t num_groups(std::size_t columns) { return (columns + kGroup - 1) / kGroup; }

// Memory that begins at a cache line, in large pages where it is large; std::bad_alloc where there is too
// little.
class AlignedBytes {
  public:
    AlignedBytes() = default;
    explicit AlignedBytes(std::size_t size);          // zeroed
    static AlignedBytes unwritten(std::size_t size);  // holding anything

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

    // A matrix over the `content()` of one that was packed before, which `owner` keeps in place and
    // unchanged. Throws std::invalid_argument where the bytes are not as many as such a matrix has, or begin
    // amid a line.
    static PackedMatrix kept(std::span<const std::byte> content, std::size_t rows, std::size_t columns,
                             WeightKind kind, std::shared_ptr<const void> owner);

    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }
    WeightKind kind() const { return kind_; }
    std::span<const std::byte> content() const { return content_; }
    std::size_t bytes() const { return content_.size(); }

    // Row `row` < rows() as the kernels see it, [columns]; some of its columns, [count].
    void read_row(std::size_t row, float* out) const { read_columns(row, 0, columns_, out); }
    void read_columns(std::size_t row, std::size_t first, std::size_t count, float* out) const;

    std::size_t num_panels() const { return (rows_ + kLanes - 1) / kLanes; }
    std::size_t panel_bytes() const { return panel_bytes_; }
    const std::byte* panel(std::size_t index) const { return content_.data() + index * panel_bytes_; }

  private:
    PackedMatrix(std::size_t rows, std::size_t columns, WeightKind kind, std::shared_ptr<const void> owner);
    template <typename T>
    static PackedMatrix pack_any(const T* weights, std::size_t rows, std::size_t columns, WeightKind kind);

    std::size_t rows_, columns_;
    WeightKind kind_;
    std::size_t panel_bytes_;
    std::shared_ptr<const void> owner_;
    std::span<const std::byte> content_;
};

}  // namespace potstill
