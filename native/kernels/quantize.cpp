#include "kernels/quantize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/simd.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// Below it 127 / peak is no finite number; what it leaves out is nothing beside any other input.
constexpr float kLeastPeak = 1e-30F;

POTSTILL_INLINE float peak_of(const float* x, std::size_t count) {
    std::uint32_t peak = 0;  // of magnitudes as whole numbers, among which NaN and infinity are the greatest
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffU;
        peak = magnitude > peak ? magnitude : peak;
    }
    return std::bit_cast<float>(peak);
}

POTSTILL_INLINE void quantize_group(const float* x, std::size_t count, std::int8_t* q, float& scale,
                                    std::int32_t& start) {
    const float peak = peak_of(x, count);
    const bool is_finite = peak <= std::numeric_limits<float>::max();
    scale = !is_finite ? kNan : peak < kLeastPeak ? 0.0F : peak / 127.0F;
    const float rate = scale > 0 ? 127.0F / peak : 0.0F;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits of the mantissa.
        const float shifted = (rate > 0 ? x[i] : 0.0F) * rate + 12582912.0F;
        const std::int32_t nearest =
            static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted)) - 0x4b400000;
        q[i] = static_cast<std::int8_t>(nearest);
        sum += nearest;
    }
    start = -128 * sum;
}

POTSTILL_CLONES void quantize_row(const float* x, std::size_t columns, std::byte* record) {
    const std::size_t groups = num_groups(columns);
    auto* q = reinterpret_cast<std::int8_t*>(record);
    auto* scales = reinterpret_cast<float*>(record + groups * kGroup);
    auto* starts = reinterpret_cast<std::int32_t*>(scales + groups);
    std::size_t group = 0;
    for (; (group + 1) * kGroup <= columns; ++group) {
        quantize_group(x + group * kGroup, kGroup, q + group * kGroup, scales[group], starts[group]);
    }
    if (group == groups) return;
    float rest[kGroup] = {};
    std::copy(x + group * kGroup, x + columns, rest);
    quantize_group(rest, kGroup, q + group * kGroup, scales[group], starts[group]);
}

POTSTILL_CLONES void round_row(const float* x, std::size_t columns, std::byte* record) {
    auto* halves = reinterpret_cast<bf16*>(record);
    for (std::size_t k = 0; k < columns; ++k) halves[k] = round_to_bf16(x[k]);
    if (columns % 2 != 0) halves[columns] = {0};
}

}  // namespace

std::size_t Activations::record_bytes(std::size_t columns, WeightKind kind) {
    std::size_t size = 0;
    switch (kind) {
        case WeightKind::float32:
            size = columns * sizeof(float);
            break;
        case WeightKind::bfloat16:
            size = round_up_to(columns, 2) * sizeof(bf16);
            break;
        case WeightKind::int8:
            size = num_groups(columns) * (kGroup + sizeof(float) + sizeof(std::int32_t));
            break;
    }
    return round_up_to(size, 64);
}

void Activations::reserve(std::size_t max_rows, std::size_t max_columns) {
    std::size_t size = 0;
    for (const WeightKind kind : {WeightKind::float32, WeightKind::bfloat16, WeightKind::int8}) {
        size = std::max(size, max_rows * record_bytes(max_columns, kind));
    }
    if (size > bytes_.size()) bytes_ = AlignedBytes(size);
}

void Activations::prepare(std::size_t thread, std::size_t num_threads, const float* x, std::size_t num_rows,
                          std::size_t columns, std::size_t stride, WeightKind kind) {
    const std::size_t step = record_bytes(columns, kind);
    const Share rows = share_of(num_rows, thread, num_threads);
    for (std::size_t r = rows.begin; r < rows.end; ++r) {
        const float* row = x + r * stride;
        std::byte* record = bytes_.data() + r * step;
        if (kind == WeightKind::int8) quantize_row(row, columns, record);
        if (kind == WeightKind::bfloat16) round_row(row, columns, record);
        if (kind == WeightKind::float32) std::copy_n(row, columns, reinterpret_cast<float*>(record));
    }
}

}  // namespace potstill
