#include "kernels/attention_tile.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/lanes.hpp"
#include "kernels/simd.hpp"

namespace potstill {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

template <typename T>
using KeyRows = std::array<const T*, kChunkKeys>;

std::size_t round_up(std::size_t count, std::size_t step) { return (count + step - 1) / step * step; }

// Asks for the numbers of a slot, which are read soon.
template <typename T>
POTSTILL_INLINE void fetch(const T* row, std::size_t size) {
    for (std::size_t d = 0; d < size; d += 64 / sizeof(T)) __builtin_prefetch(row + d);
}

// Where the numbers of a chunk's positions lie, in elements; those from `end` on nowhere.
struct Places {
    std::array<std::size_t, kChunkKeys> at;
    std::size_t count;
};

template <typename T>
POTSTILL_INLINE void find_places(const AttentionTile<T>& tile, std::size_t begin, std::size_t end,
                                 Places& places) {
    places.count = begin < end ? std::min(kChunkKeys, end - begin) : 0;
    std::size_t block = begin / tile.block_size, offset = begin % tile.block_size;
    for (std::size_t j = 0; j < places.count; ++j) {
        const auto slot = tile.block_table == nullptr
                              ? begin + j
                              : static_cast<std::size_t>(tile.block_table[block]) * tile.block_size + offset;
        places.at[j] = slot * tile.slot_stride;
        if (++offset == tile.block_size) offset = 0, ++block;
    }
}

// The rows of a chunk, zeros where there are none. Those of `ahead` are fetched, which are read next.
template <typename T>
POTSTILL_INLINE void list_rows(const AttentionTile<T>& tile, const T* cache, const Places& places,
                               const T* ahead, const Places& next, const AttentionScratch& scratch,
                               KeyRows<T>& rows) {
    for (std::size_t j = 0; j < kChunkKeys; ++j) {
        rows[j] = j < places.count ? cache + places.at[j] : reinterpret_cast<const T*>(scratch.zeros.data());
    }
    for (std::size_t j = 0; j < next.count; ++j) fetch(ahead + next.at[j], tile.head_size);
}

// The same numbers as floats, padded with zeros to whole vectors: worth it where many queries read them.
template <typename T>
POTSTILL_INLINE void widen_rows(const AttentionTile<T>& tile, const KeyRows<T>& rows,
                                AttentionScratch& scratch, KeyRows<float>& wide) {
    const std::size_t D = tile.head_size, padded = padded_head(D);
    for (std::size_t j = 0; j < kChunkKeys; ++j) {
        float* room = scratch.keys.data() + j * padded;
        for (std::size_t d = 0; d < D; ++d) room[d] = widen(rows[j][d]);
        for (std::size_t d = D; d < padded; ++d) room[d] = 0;
        wide[j] = room;
    }
}

// Products of `kRows` queries with every key of a chunk.
template <std::size_t kRows, typename T>
POTSTILL_INLINE void dot_rows(const float* q, const KeyRows<T>& keys, std::size_t num_keys,
                              std::size_t padded, float* scores) {
    constexpr std::size_t kTogether = kRows == 1 ? 8 : 4;
    for (std::size_t j = 0; j < num_keys; j += kTogether) {
        Lanes sums[kRows][kTogether] = {};
        for (std::size_t d = 0; d < padded; d += kVectorLanes) {
            Lanes key[kTogether];
            for (std::size_t i = 0; i < kTogether; ++i) load_lanes(key[i], keys[j + i] + d);
            for (std::size_t r = 0; r < kRows; ++r) {
                Lanes query;
                POTSTILL_LOAD(query, q + r * padded + d);
                for (std::size_t i = 0; i < kTogether; ++i) sums[r][i] += query * key[i];
            }
        }
        for (std::size_t r = 0; r < kRows; ++r) {
            for (std::size_t i = 0; i < kTogether; i += 4)
                sum_four(sums[r] + i, scores + r * kChunkKeys + j + i);
        }
    }
}

// out += weights times values, one key after the other, over `kVectors` vectors from number `d` on.
template <std::size_t kRows, std::size_t kVectors, typename T>
POTSTILL_INLINE void weigh_columns(const float* weights, const KeyRows<T>& values, std::size_t num_keys,
                                   std::size_t padded, std::size_t d, float* out) {
    Lanes sums[kRows][kVectors];
    for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t i = 0; i < kVectors; ++i)
            POTSTILL_LOAD(sums[r][i], out + r * padded + d + i * kVectorLanes);
    }
    for (std::size_t j = 0; j < num_keys; ++j) {
        Lanes value[kVectors];
        for (std::size_t i = 0; i < kVectors; ++i) load_lanes(value[i], values[j] + d + i * kVectorLanes);
        for (std::size_t r = 0; r < kRows; ++r) {
            const float weight = weights[r * kChunkKeys + j];
            for (std::size_t i = 0; i < kVectors; ++i) sums[r][i] += weight * value[i];
        }
    }
    for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t i = 0; i < kVectors; ++i)
            POTSTILL_STORE(out + r * padded + d + i * kVectorLanes, sums[r][i]);
    }
}

template <std::size_t kRows, typename T>
POTSTILL_INLINE void weigh_rows(const float* weights, const KeyRows<T>& values, std::size_t num_keys,
                                std::size_t padded, float* out) {
    std::size_t d = 0;
    for (; d + 4 * kVectorLanes <= padded; d += 4 * kVectorLanes) {
        weigh_columns<kRows, 4>(weights, values, num_keys, padded, d, out);
    }
    for (; d < padded; d += kVectorLanes) weigh_columns<kRows, 1>(weights, values, num_keys, padded, d, out);
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
    POTSTILL_LOAD(high, scores + kVectorLanes);
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

// Rows of a tile by a chunk of keys, four rows at a time where there are four.
template <typename T>
POTSTILL_INLINE void dot_tile(const float* q, std::size_t num_rows, const KeyRows<T>& keys,
                              std::size_t num_keys, std::size_t padded, float* scores) {
    const std::size_t fours = num_rows < kRowStep ? 0 : round_up(num_rows, kRowStep);
    for (std::size_t r = 0; r < fours; r += kRowStep) {
        dot_rows<kRowStep>(q + r * padded, keys, num_keys, padded, scores + r * kChunkKeys);
    }
    for (std::size_t r = fours; r < num_rows; ++r) {
        dot_rows<1>(q + r * padded, keys, num_keys, padded, scores + r * kChunkKeys);
    }
}

template <typename T>
POTSTILL_INLINE void weigh_tile(const float* scores, std::size_t num_rows, const KeyRows<T>& values,
                                std::size_t num_keys, std::size_t padded, float* out) {
    const std::size_t fours = num_rows < kRowStep ? 0 : round_up(num_rows, kRowStep);
    for (std::size_t r = 0; r < fours; r += kRowStep) {
        weigh_rows<kRowStep>(scores + r * kChunkKeys, values, num_keys, padded, out + r * padded);
    }
    for (std::size_t r = fours; r < num_rows; ++r) {
        weigh_rows<1>(scores + r * kChunkKeys, values, num_keys, padded, out + r * padded);
    }
}

template <typename T>
POTSTILL_INLINE void attend_chunk(const AttentionTile<T>& tile, std::size_t begin, std::size_t end,
                                  AttentionScratch& scratch, SoftSums sums) {
    const std::size_t padded = padded_head(tile.head_size), num_rows = tile.num_rows();
    const std::size_t num_keys = std::min(kChunkKeys, round_up(end - begin, 4));
    // Widening what few queries read costs more than they do.
    const bool is_wide = padded != tile.head_size || (num_rows > 2 * kRowStep && sizeof(T) < sizeof(float));
    float *scores = scratch.scores.data(), *q = scratch.q.data();
    KeyRows<T> rows;
    KeyRows<float> wide;
    Places places, next;
    find_places(tile, begin, end, places);
    find_places(tile, begin + kChunkKeys, tile.num_keys, next);
    list_rows(tile, tile.keys, places, tile.values, places, scratch, rows);
    if (is_wide) {
        widen_rows(tile, rows, scratch, wide);
        dot_tile(q, num_rows, wide, num_keys, padded, scores);
    } else {
        dot_tile(q, num_rows, rows, num_keys, padded, scores);
    }
    const std::size_t padded_rows = num_rows < kRowStep ? num_rows : round_up(num_rows, kRowStep);
    for (std::size_t r = 0; r < padded_rows; ++r) soften_row(tile, r, begin, scores + r * kChunkKeys, sums);
    list_rows(tile, tile.values, places, tile.keys, next, scratch, rows);
    if (is_wide) {
        widen_rows(tile, rows, scratch, wide);
        weigh_tile(scores, num_rows, wide, num_keys, padded, sums.out);
    } else {
        weigh_tile(scores, num_rows, rows, num_keys, padded, sums.out);
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
