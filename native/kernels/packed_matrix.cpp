#include "kernels/packed_matrix.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/threads.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace potstill {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::uint8_t kZero = 128;  // q + 128 of nothing
constexpr std::size_t kLargePage = std::size_t{1} << 21;
constexpr std::size_t kMostRows = std::size_t{1}
                                  << 40;  // and columns: what sizes are made from cannot overflow

std::size_t panel_bytes_of(std::size_t columns, WeightKind kind) {
    switch (kind) {
        case WeightKind::float32:
            return columns * kLanes * sizeof(float);
        case WeightKind::bfloat16:
            return round_up_to(columns, 2) * kLanes * sizeof(bf16);
        case WeightKind::int8:
            break;
    }
    return num_groups(columns) * kGroupBytes;
}

template <typename Byte, typename T>
using LikeByte = std::conditional_t<std::is_const_v<Byte>, const T, T>;

template <typename Byte>
auto* floats(Byte* panel) {
    return reinterpret_cast<LikeByte<Byte, float>*>(panel);
}
template <typename Byte>
auto* halves(Byte* panel) {
    return reinterpret_cast<LikeByte<Byte, bf16>*>(panel);
}

// Of a group of int8 weights.
template <typename Byte>
auto* scales_of(Byte* panel, std::size_t group) {
    return halves(panel + group * kGroupBytes);
}
template <typename Byte>
auto* bytes_of(Byte* panel, std::size_t group) {
    return reinterpret_cast<LikeByte<Byte, std::uint8_t>*>(panel + group * kGroupBytes + kScaleBytes);
}

// Where column k of a lane stands among weights of which neighbours stand `together`.
std::size_t place_of(std::size_t k, std::size_t lane, std::size_t together) {
    return (k / together * kLanes + lane) * together + k % together;
}

// The least bfloat16 that is not below peak / 127, so that no weight is cut off.
bf16 scale_for(float peak) {
    const float exact = peak / 127.0F;
    bf16 scale = round_to_bf16(exact);
    if (widen(scale) < exact) ++scale.bits;
    return scale;
}

// False where a weight is NaN or infinite.
bool quantize_group(const float* weights, std::size_t count, std::size_t lane, bf16& scale, std::uint8_t* q) {
    float peak = 0;
    for (std::size_t k = 0; k < count; ++k) {
        if (!std::isfinite(weights[k])) return false;
        peak = std::max(peak, std::abs(weights[k]));
    }
    scale = scale_for(peak);
    const float step = widen(scale);
    if (step == 0) return true;
    for (std::size_t k = 0; k < count; ++k) {
        const float steps = std::nearbyint(weights[k] / step);
        q[place_of(k, lane, 4)] = static_cast<std::uint8_t>(static_cast<int>(steps) + 128);
    }
    return true;
}

bool pack_int8(const float* weights, std::size_t columns, std::size_t lane, std::byte* panel) {
    for (std::size_t group = 0; group < num_groups(columns); ++group) {
        const std::size_t first = group * kGroup;
        if (!quantize_group(weights + first, std::min(kGroup, columns - first), lane,
                            scales_of(panel, group)[lane], bytes_of(panel, group))) {
            return false;
        }
    }
    return true;
}

// False where a weight cannot be packed.
bool pack_row(const float* weights, std::size_t columns, WeightKind kind, std::size_t lane,
              std::byte* panel) {
    switch (kind) {
        case WeightKind::float32:
            for (std::size_t k = 0; k < columns; ++k) floats(panel)[k * kLanes + lane] = weights[k];
            return true;
        case WeightKind::bfloat16:
            for (std::size_t k = 0; k < columns; ++k) {
                halves(panel)[place_of(k, lane, 2)] = round_to_bf16(weights[k]);
            }
            return true;
        case WeightKind::int8:
            break;
    }
    return pack_int8(weights, columns, lane, panel);
}

// Memory for a matrix, filled as if all of it were padding.
std::shared_ptr<AlignedBytes> padding_only(std::size_t rows, std::size_t columns, WeightKind kind) {
    const std::size_t num_panels = round_up_to(rows, kLanes) / kLanes,
                      panel_bytes = panel_bytes_of(columns, kind);
    auto bytes = std::make_shared<AlignedBytes>(num_panels * panel_bytes);
    if (kind != WeightKind::int8) return bytes;
    for (std::size_t panel = 0; panel < num_panels; ++panel) {
        for (std::size_t group = 0; group < num_groups(columns); ++group) {
            std::fill_n(bytes_of(bytes->data() + panel * panel_bytes, group), kGroup * kLanes, kZero);
        }
    }
    return bytes;
}

void widen_row(const float* source, std::size_t count, float* target) { std::copy_n(source, count, target); }
void widen_row(const bf16* source, std::size_t count, float* target) {
    for (std::size_t k = 0; k < count; ++k) target[k] = widen(source[k]);
}

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size) {
    *this = unwritten(size);
    if (size > 0) std::memset(data(), 0, size);
}

AlignedBytes AlignedBytes::unwritten(std::size_t size) {
    AlignedBytes made;
    if (size == 0) return made;
    // Large pages spare the processor most of its look-ups of addresses in what is read from end to end, and
    // the system most of its work when new memory is written.
    const bool is_large = size >= kLargePage;
    const std::size_t alignment = is_large ? kLargePage : kLine;
    made.bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, round_up_to(size, alignment))));
    if (!made.bytes_) throw std::bad_alloc();
    made.size_ = size;
#ifdef __linux__
    if (is_large) madvise(made.data(), round_up_to(size, alignment), MADV_HUGEPAGE);
#endif
    return made;
}

PackedMatrix::PackedMatrix(std::size_t rows, std::size_t columns, WeightKind kind,
                           std::shared_ptr<const void> owner)
    : rows_(rows),
      columns_(columns),
      kind_(kind),
      panel_bytes_(panel_bytes_of(columns, kind)),
      owner_(std::move(owner)) {}

PackedMatrix PackedMatrix::kept(std::span<const std::byte> content, std::size_t rows, std::size_t columns,
                                WeightKind kind, std::shared_ptr<const void> owner) {
    if (rows > kMostRows || columns > kMostRows) throw std::invalid_argument("no matrix is that large");
    PackedMatrix matrix(rows, columns, kind, std::move(owner));
    const std::size_t panel = matrix.panel_bytes_;
    const bool fits = panel == 0
                          ? content.empty()
                          : content.size() % panel == 0 && content.size() / panel == matrix.num_panels();
    if (!fits) {
        throw std::invalid_argument("content has " + std::to_string(content.size()) +
                                    " bytes, which a matrix of this shape and kind has not");
    }
    if (reinterpret_cast<std::uintptr_t>(content.data()) % kLine != 0) {
        throw std::invalid_argument("content must begin at a multiple of 64");
    }
    matrix.content_ = content;
    return matrix;
}

template <typename T>
PackedMatrix PackedMatrix::pack_any(const T* weights, std::size_t rows, std::size_t columns,
                                    WeightKind kind) {
    const std::shared_ptr<AlignedBytes> bytes = padding_only(rows, columns, kind);
    PackedMatrix packed(rows, columns, kind, bytes);
    packed.content_ = {bytes->data(), bytes->size()};
    std::vector<float> room(static_cast<std::size_t>(max_threads()) * columns);
    std::atomic<bool> is_packed{true};  // an exception must not leave the threads
#pragma omp parallel for schedule(static)
    for (std::size_t panel = 0; panel < packed.num_panels(); ++panel) {
        float* row = room.data() + static_cast<std::size_t>(thread_index()) * columns;
        const std::size_t first = panel * kLanes;
        for (std::size_t lane = 0; lane < std::min(kLanes, rows - first); ++lane) {
            widen_row(weights + (first + lane) * columns, columns, row);
            if (!pack_row(row, columns, kind, lane, bytes->data() + panel * packed.panel_bytes_)) {
                is_packed.store(false, std::memory_order_relaxed);
            }
        }
    }
    if (!is_packed.load()) throw std::invalid_argument("weight holds NaN or infinity");
    return packed;
}

PackedMatrix PackedMatrix::pack(const float* weights, std::size_t rows, std::size_t columns,
                                WeightKind kind) {
    return pack_any(weights, rows, columns, kind);
}

PackedMatrix PackedMatrix::pack(const bf16* weights, std::size_t rows, std::size_t columns, WeightKind kind) {
    return pack_any(weights, rows, columns, kind);
}

void PackedMatrix::read_columns(std::size_t row, std::size_t first, std::size_t count, float* out) const {
    const std::byte* panel = this->panel(row / kLanes);
    const std::size_t lane = row % kLanes, end = first + count;
    switch (kind_) {
        case WeightKind::float32:
            for (std::size_t k = first; k < end; ++k) *out++ = floats(panel)[k * kLanes + lane];
            return;
        case WeightKind::bfloat16:
            for (std::size_t k = first; k < end; ++k) *out++ = widen(halves(panel)[place_of(k, lane, 2)]);
            return;
        case WeightKind::int8:
            for (std::size_t k = first; k < end; ++k) {
                const float scale = widen(scales_of(panel, k / kGroup)[lane]);
                const int q = bytes_of(panel, k / kGroup)[place_of(k % kGroup, lane, 4)] - kZero;
                *out++ = scale * static_cast<float>(q);
            }
            return;
    }
}

}  // namespace potstill
