#include "kernels/attention_tile.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "kernels/simd.hpp"

namespace potstill {
namespace {

constexpr std::size_t kLanesOf = 16;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Sums are taken lane by lane, as written here: the same bits whatever the processor's vectors are and
// however many rows go together.
using Lanes = float __attribute__((vector_size(64)));
using HalfLanes = float __attribute__((vector_size(32)));
using QuarterLanes = float __attribute__((vector_size(16)));
using KeyRows = std::array<const float*, kChunkKeys>;

std::size_t round_up(std::size_t count, std::size_t step) { return (count + step - 1) / step * step; }

#define POTSTILL_LOAD(lanes, source) std::memcpy(&(lanes), (source), sizeof(lanes))
#define POTSTILL_STORE(target, lanes) std::memcpy((target), &(lanes), sizeof(lanes))

POTSTILL_INLINE float sum_lanes(const Lanes& lanes) {
    HalfLanes low, high;
    POTSTILL_LOAD(low, &lanes);
    POTSTILL_LOAD(high, reinterpret_cast<const char*>(&lanes) + sizeof(low));
    low += high;
    QuarterLanes first, second;
    POTSTILL_LOAD(first, &low);
    POTSTILL_LOAD(second, reinterpret_cast<const char*>(&low) + sizeof(first));
    first += second;
    return (first[0] + first[2]) + (first[1] + first[3]);
}

// The numbers of one slot as floats, padded with zeros to whole vectors.
POTSTILL_INLINE const float* as_floats(const float* source, float* room, std::size_t size,
                                       std::size_t padded) {
    if (size == padded) return source;
    for (std::size_t d = 0; d < size; ++d) room[d] = source[d];
    for (std::size_t d = size; d < padded; ++d) room[d] = 0;
    return room;
}

POTSTILL_INLINE const float* as_floats(const bf16* source, float* room, std::size_t size,
                                       std::size_t padded) {
    for (std::size_t d = 0; d < size; ++d) room[d] = widen(source[d]);
    for (std::size_t d = size; d < padded; ++d) room[d] = 0;
    return room;
}

// Positions begin .. begin + kChunkKeys as floats; zeros from `end` on.
template <typename T>
POTSTILL_INLINE void gather(const AttentionTile<T>& tile, const T* cache, std::size_t begin, std::size_t end,
                            AttentionScratch& scratch, KeyRows& rows) {
    const std::size_t padded = padded_head(tile.head_size);
    for (std::size_t j = 0; j < kChunkKeys; ++j) {
        const std::size_t position = begin + j;
        if (position >= end) {
            rows[j] = scratch.zeros.data();
            continue;
        }
        std::size_t slot = position;
        if (tile.block_table != nullptr) {
            const auto block = static_cast<std::size_t>(tile.block_table[position / tile.block_size]);
            slot = block * tile.block_size + position % tile.block_size;
        }
        rows[j] = as_floats(cache + slot * tile.slot_stride, scratch.keys.data() + j * padded, tile.head_size,
                            padded);
    }
}

// Products of `kRows` queries with every key of a chunk.
template <std::size_t kRows>
POTSTILL_INLINE void dot_rows(const float* q, const KeyRows& keys, std::size_t num_keys, std::size_t padded,
                              float* scores) {
    for (std::size_t j = 0; j < num_keys; j += 4) {
        Lanes sums[kRows][4] = {};
        for (std::size_t d = 0; d < padded; d += kLanesOf) {
            Lanes key[4];
            for (std::size_t i = 0; i < 4; ++i) POTSTILL_LOAD(key[i], keys[j + i] + d);
            for (std::size_t r = 0; r < kRows; ++r) {
                Lanes query;
                POTSTILL_LOAD(query, q + r * padded + d);
                for (std::size_t i = 0; i < 4; ++i) sums[r][i] += query * key[i];
            }
        }
        for (std::size_t r = 0; r < kRows; ++r) {
            for (std::size_t i = 0; i < 4; ++i) scores[r * kChunkKeys + j + i] = sum_lanes(sums[r][i]);
        }
    }
}

// out += weights times values, one key after the other.
template <std::size_t kRows>
POTSTILL_INLINE void weigh_rows(const float* weights, const KeyRows& values, std::size_t num_keys,
                                std::size_t padded, float* out) {
    for (std::size_t d = 0; d < padded; d += kLanesOf) {
        Lanes sums[kRows];
        for (std::size_t r = 0; r < kRows; ++r) POTSTILL_LOAD(sums[r], out + r * padded + d);
        for (std::size_t j = 0; j < num_keys; ++j) {
            Lanes value;
            POTSTILL_LOAD(value, values[j] + d);
            for (std::size_t r = 0; r < kRows; ++r) sums[r] += weights[r * kChunkKeys + j] * value;
        }
        for (std::size_t r = 0; r < kRows; ++r) POTSTILL_STORE(out + r * padded + d, sums[r]);
    }
}

POTSTILL_INLINE float tanh_of(float x) {
    const float e = exp_nonpositive(x < 0 ? 2 * x : -2 * x);
    const float size = (1.0F - e) / (1.0F + e);
    return x < 0 ? -size : size;
}

// Products of a row become scores; what the row does not see, -infinity.
template <typename T>
POTSTILL_INLINE void score_row(const AttentionTile<T>& tile, std::size_t r, std::size_t begin,
                               std::size_t low, std::size_t high, float* scores) {
    for (std::size_t j = 0; j < kChunkKeys; ++j) scores[j] *= tile.scale;
    if (tile.bias != nullptr) {
        const float* bias = tile.bias + r % tile.group * tile.bias_width;
        const auto last = static_cast<std::ptrdiff_t>(tile.bias_width) - 1;
        const auto query = static_cast<std::ptrdiff_t>(tile.first_position + r / tile.group);
        for (std::size_t j = low; j < high; ++j) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(begin + j) - query + last / 2;
            scores[j] += bias[std::clamp<std::ptrdiff_t>(at, 0, last)];
        }
    }
    if (tile.softcap > 0) {
        const float share = 1.0F / tile.softcap;
        for (std::size_t j = 0; j < kChunkKeys; ++j) scores[j] = tile.softcap * tanh_of(scores[j] * share);
    }
    for (std::size_t j = 0; j < kChunkKeys; ++j) scores[j] = j >= low && j < high ? scores[j] : kNothing;
}

// A row's scores of one chunk become weights, keeping its peak, mass and sums in step.
POTSTILL_INLINE void soften(float* scores, float& peak, float& mass, float* out, std::size_t padded) {
    float chunk_peak = kNothing;
    for (std::size_t j = 0; j < kChunkKeys; ++j) chunk_peak = scores[j] > chunk_peak ? scores[j] : chunk_peak;
    if (chunk_peak > peak) {
        const float shrink = exp_nonpositive(peak - chunk_peak);
        for (std::size_t d = 0; d < padded; ++d) out[d] *= shrink;
        mass *= shrink;
        peak = chunk_peak;
    }
    const float shift = peak;
    for (std::size_t j = 0; j < kChunkKeys; ++j) scores[j] = exp_nonpositive(scores[j] - shift);
    Lanes low, high;
    POTSTILL_LOAD(low, scores);
    POTSTILL_LOAD(high, scores + kLanesOf);
    low += high;
    mass += sum_lanes(low);
}

template <typename T>
POTSTILL_INLINE void soften_row(const AttentionTile<T>& tile, std::size_t r, std::size_t begin, float* scores,
                                SoftSums sums) {
    const std::size_t position = tile.first_position + std::min(r, tile.num_rows() - 1) / tile.group;
    const std::size_t first = position >= tile.window ? position - tile.window + 1 : 0;
    const std::size_t last = tile.is_causal ? std::min(position + 1, tile.num_keys) : tile.num_keys;
    if (r >= tile.num_rows() || last <= begin || first >= begin + kChunkKeys) {
        std::fill_n(scores, kChunkKeys, 0.0F);
        return;
    }
    const std::size_t low = std::max(first, begin) - begin, high = std::min(last - begin, kChunkKeys);
    score_row(tile, r, begin, low, high, scores);
    const std::size_t padded = padded_head(tile.head_size);
    soften(scores, sums.peak[r], sums.mass[r], sums.out + r * padded, padded);
}

template <typename T>
POTSTILL_INLINE void attend_chunk(const AttentionTile<T>& tile, std::size_t begin, std::size_t end,
                                  AttentionScratch& scratch, SoftSums sums) {
    const std::size_t padded = padded_head(tile.head_size), num_rows = tile.num_rows();
    const std::size_t num_keys = std::min(kChunkKeys, round_up(end - begin, 4));
    const std::size_t fours = num_rows < kRowStep ? 0 : round_up(num_rows, kRowStep);
    float *scores = scratch.scores.data(), *q = scratch.q.data();
    KeyRows rows;
    gather(tile, tile.keys, begin, end, scratch, rows);
    for (std::size_t r = 0; r < fours; r += kRowStep) {
        dot_rows<kRowStep>(q + r * padded, rows, num_keys, padded, scores + r * kChunkKeys);
    }
    for (std::size_t r = fours; r < num_rows; ++r) {
        dot_rows<1>(q + r * padded, rows, num_keys, padded, scores + r * kChunkKeys);
    }
    for (std::size_t r = 0; r < std::max(fours, num_rows); ++r) {
        soften_row(tile, r, begin, scores + r * kChunkKeys, sums);
    }
    gather(tile, tile.values, begin, end, scratch, rows);
    for (std::size_t r = 0; r < fours; r += kRowStep) {
        weigh_rows<kRowStep>(scores + r * kChunkKeys, rows, num_keys, padded, sums.out + r * padded);
    }
    for (std::size_t r = fours; r < num_rows; ++r) {
        weigh_rows<1>(scores + r * kChunkKeys, rows, num_keys, padded, sums.out + r * padded);
    }
}

// Queries in rows of whole vectors, zeros where there are none.
template <typename T>
void take_queries(const AttentionTile<T>& tile, AttentionScratch& scratch) {
    const std::size_t D = tile.head_size, padded = padded_head(D);
    std::fill_n(scratch.q.data(), round_up(tile.num_rows(), kRowStep) * padded, 0.0F);
    for (std::size_t r = 0; r < tile.num_rows(); ++r) {
        std::copy_n(tile.q + r / tile.group * tile.query_stride + r % tile.group * D, D,
                    scratch.q.data() + r * padded);
    }
}

template <typename T>
POTSTILL_INLINE void attend_chunks(const AttentionTile<T>& tile, std::size_t segment,
                                   AttentionScratch& scratch, SoftSums sums) {
    // A tile ends where its last query does; what its earlier ones do not see weighs nothing.
    const std::size_t seen = tile.is_causal ? tile.first_position + tile.count : tile.num_keys;
    const std::size_t end = std::min({(segment + 1) * kSegmentKeys, seen, tile.num_keys});
    for (std::size_t begin = segment * kSegmentKeys; begin < end; begin += kChunkKeys) {
        attend_chunk(tile, begin, end, scratch, sums);
    }
}

// Never inlined: every caller gets the same bits.
POTSTILL_CLONES void attend_keys(const AttentionTile<float>& tile, std::size_t segment,
                                 AttentionScratch& scratch, SoftSums sums) {
    attend_chunks(tile, segment, scratch, sums);
}

POTSTILL_CLONES void attend_keys(const AttentionTile<bf16>& tile, std::size_t segment,
                                 AttentionScratch& scratch, SoftSums sums) {
    attend_chunks(tile, segment, scratch, sums);
}

POTSTILL_CLONES void merge_row(const float* part, float part_peak, float part_mass, float* total, float& peak,
                               float& mass, std::size_t padded) {
    const float top = part_peak > peak ? part_peak : peak;
    const float old_share = exp_nonpositive(peak - top), new_share = exp_nonpositive(part_peak - top);
    for (std::size_t d = 0; d < padded; ++d) {
        const float kept = total[d] * old_share;
        total[d] = kept + part[d] * new_share;
    }
    const float kept = mass * old_share;
    mass = kept + part_mass * new_share;
    peak = top;
}

}  // namespace

void AttentionScratch::reserve(std::size_t max_rows, std::size_t head_size) {
    const std::size_t rows = round_up(max_rows, kRowStep), padded = padded_head(head_size);
    const auto grow = [](std::vector<float>& room, std::size_t size) {
        if (room.size() < size) room.resize(size);
    };
    grow(q, rows * padded);
    grow(keys, kChunkKeys * padded);
    grow(zeros, padded);
    grow(scores, rows * kChunkKeys);
    grow(sums, soft_floats(rows, head_size));
    grow(total, soft_floats(rows, head_size));
}

void clear_sums(SoftSums sums, std::size_t first, std::size_t end, std::size_t head_size) {
    const std::size_t padded = padded_head(head_size);
    std::fill(sums.out + first * padded, sums.out + end * padded, 0.0F);
    std::fill(sums.peak + first, sums.peak + end, kNothing);
    std::fill(sums.mass + first, sums.mass + end, 0.0F);
}

template <typename T>
void attend_segment(const AttentionTile<T>& tile, std::size_t segment, AttentionScratch& scratch,
                    SoftSums sums) {
    clear_sums(sums, 0, round_up(tile.num_rows(), kRowStep), tile.head_size);
    if (segment < first_segment(tile)) return;
    take_queries(tile, scratch);
    attend_keys(tile, segment, scratch, sums);
}

void merge_sums(const SoftSums& part, SoftSums total, std::size_t first, std::size_t end,
                std::size_t head_size) {
    const std::size_t padded = padded_head(head_size);
    for (std::size_t r = first; r < end; ++r) {
        // NaN is to stay, so the question is whether nothing was seen.
        if (part.mass[r] == 0) continue;
        merge_row(part.out + r * padded, part.peak[r], part.mass[r], total.out + r * padded, total.peak[r],
                  total.mass[r], padded);
    }
}

template <typename T>
void write_rows(const AttentionTile<T>& tile, SoftSums sums, std::size_t first, std::size_t end) {
    const std::size_t D = tile.head_size, padded = padded_head(D);
    for (std::size_t r = first; r < end; ++r) {
        float* target = tile.out + r / tile.group * tile.out_stride + r % tile.group * D;
        const float* source = sums.out + r * padded;
        const float share = sums.mass[r] == 0 ? 0.0F : 1.0F / sums.mass[r];
        for (std::size_t d = 0; d < D; ++d) target[d] = source[d] * share;
    }
}

template <typename T>
void attend_tile(const AttentionTile<T>& tile, AttentionScratch& scratch) {
    const std::size_t D = tile.head_size, rows = round_up(tile.num_rows(), kRowStep);
    const SoftSums sums = soft_sums(scratch.sums.data(), rows, D);
    const SoftSums total = soft_sums(scratch.total.data(), rows, D);
    clear_sums(total, 0, rows, D);
    take_queries(tile, scratch);
    const std::size_t seen = tile.is_causal ? tile.first_position + tile.count : tile.num_keys;
    for (std::size_t s = first_segment(tile); s * kSegmentKeys < std::min(seen, tile.num_keys); ++s) {
        clear_sums(sums, 0, rows, D);
        attend_keys(tile, s, scratch, sums);
        merge_sums(sums, total, 0, tile.num_rows(), D);
    }
    write_rows(tile, total, 0, tile.num_rows());
}

#define POTSTILL_INSTANTIATE(T)                                                                         \
    template void attend_segment<T>(const AttentionTile<T>&, std::size_t, AttentionScratch&, SoftSums); \
    template void write_rows<T>(const AttentionTile<T>&, SoftSums, std::size_t, std::size_t);           \
    template void attend_tile<T>(const AttentionTile<T>&, AttentionScratch&);
POTSTILL_INSTANTIATE(float)
POTSTILL_INSTANTIATE(bf16)

}  // namespace potstill
