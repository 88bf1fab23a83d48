// Sixteen floats at a time, in the compiler's own vectors.
//
// Sums are taken lane by lane, as written here: the same bits whatever the processor's vectors are and
// however many rows go together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/simd.hpp"
#include "kernels/types.hpp"

namespace potstill {

constexpr std::size_t kVectorLanes = 16;

using Lanes = float __attribute__((vector_size(64)));
using HalfLanes = float __attribute__((vector_size(32)));
using QuarterLanes = float __attribute__((vector_size(16)));
using HalfWords = std::uint16_t __attribute__((vector_size(32)));
using Words = std::uint32_t __attribute__((vector_size(64)));

#define POTSTILL_LOAD(lanes, source) std::memcpy(&(lanes), (source), sizeof(lanes))
#define POTSTILL_STORE(target, lanes) std::memcpy((target), &(lanes), sizeof(lanes))

POTSTILL_INLINE void load_lanes(Lanes& lanes, const float* source) { POTSTILL_LOAD(lanes, source); }

POTSTILL_INLINE void load_lanes(Lanes& lanes, const bf16* source) {
    HalfWords halves;
    POTSTILL_LOAD(halves, source);
    const Words words = __builtin_convertvector(halves, Words) << 16;
    POTSTILL_LOAD(lanes, &words);
}

// Sixteen sums to four, in the order in which every sum here ends.
POTSTILL_INLINE void fold_lanes(const Lanes& lanes, QuarterLanes& folded) {
    HalfLanes low, high;
    POTSTILL_LOAD(low, &lanes);
    POTSTILL_LOAD(high, reinterpret_cast<const char*>(&lanes) + sizeof(low));
    low += high;
    QuarterLanes second;
    POTSTILL_LOAD(folded, &low);
    POTSTILL_LOAD(second, reinterpret_cast<const char*>(&low) + sizeof(folded));
    folded += second;
}

// (0 + 2) + (1 + 3).
POTSTILL_INLINE float sum_lanes(const Lanes& lanes) {
    QuarterLanes folded;
    fold_lanes(lanes, folded);
    return (folded[0] + folded[2]) + (folded[1] + folded[3]);
}

// The same of four at once.
POTSTILL_INLINE void sum_four(const Lanes* lanes, float* sums) {
    QuarterLanes x[4];
    for (std::size_t i = 0; i < 4; ++i) fold_lanes(lanes[i], x[i]);
    QuarterLanes halves[2], ends[2];
    for (std::size_t i = 0; i < 2; ++i) {
        const QuarterLanes &a = x[2 * i], &b = x[2 * i + 1];
        const QuarterLanes first{a[0], b[0], a[1], b[1]}, second{a[2], b[2], a[3], b[3]};
        halves[i] = first + second;
    }
    ends[0] = QuarterLanes{halves[0][0], halves[0][1], halves[1][0], halves[1][1]};
    ends[1] = QuarterLanes{halves[0][2], halves[0][3], halves[1][2], halves[1][3]};
    ends[0] += ends[1];
    POTSTILL_STORE(sums, ends[0]);
}

}  // namespace potstill
