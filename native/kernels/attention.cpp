#include "kernels/attention.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/simd.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

constexpr std::size_t kKeys = 32;      // positions taken at a time, from multiples of it
constexpr std::size_t kRowStep = 4;    // (query, head) rows that share one read of a key
constexpr std::size_t kTileRows = 32;  // aimed at: rows that share one widening of a chunk
constexpr std::size_t kKeyStep = 4;    // keys weighed together
constexpr float kNothing = -std::numeric_limits<float>::infinity();

std::size_t round_up(std::size_t count, std::size_t step) { return (count + step - 1) / step * step; }

struct Tile {
    std::size_t row;    // of the batch
    std::size_t first;  // packed index of the first query
    std::size_t count;  // queries, neighbours in one sequence
};

// Everything one kernel call over (tile, kv head) reads and writes.
template <typename T>
struct TileCall {
    const float* q;  // at the tile's first query and the kv head's first query head
    float* out;
    const T* keys;  // at the kv head, in block 0
    const T* values;
    const BlockId* block_table;
    std::size_t count;
    std::size_t group;            // query heads a kv head
    std::size_t query_stride;     // floats from one query to the next
    std::size_t position_stride;  // elements from one cached position to the next
    std::size_t block_size;
    std::size_t head_size;
    std::size_t first_position;  // of the first query
    std::size_t window;
    float scale;
};

// Memory of one thread, taken before the threads start: none of them can fail for want of it.
struct Scratch {
    std::vector<float> q, out, widened, zeros, scores, peak, mass;

    Scratch(std::size_t rows, std::size_t head_size)
        : q(rows * head_size),
          out(rows * head_size),
          widened(kKeys * head_size),
          zeros(head_size),
          scores(rows * kKeys),
          peak(rows),
          mass(rows) {}
};

using KeyRows = std::array<const float*, kKeys>;

POTSTILL_INLINE const float* as_floats(const float* source, float*, std::size_t) { return source; }

POTSTILL_INLINE const float* as_floats(const bf16* source, float* room, std::size_t size) {
    for (std::size_t d = 0; d < size; ++d) room[d] = widen(source[d]);
    return room;
}

// Rows of positions begin .. begin + kKeys as floats; zeros from `end` on.
template <typename T>
POTSTILL_INLINE void gather(const TileCall<T>& call, const T* cache, std::size_t begin, std::size_t end,
                            Scratch& scratch, KeyRows& rows) {
    for (std::size_t j = 0; j < kKeys; ++j) {
        const std::size_t position = begin + j;
        if (position >= end) {
            rows[j] = scratch.zeros.data();
            continue;
        }
        const auto block = static_cast<std::size_t>(call.block_table[position / call.block_size]);
        const std::size_t slot = block * call.block_size + position % call.block_size;
        rows[j] = as_floats(cache + slot * call.position_stride, scratch.widened.data() + j * call.head_size,
                            call.head_size);
    }
}

POTSTILL_INLINE void dot_rows(const float* q, const KeyRows& keys, std::size_t num_keys, std::size_t D,
                              float* scores) {
    const float *q0 = q, *q1 = q + D, *q2 = q + 2 * D, *q3 = q + 3 * D;
    for (std::size_t j = 0; j < num_keys; j += 2) {
        const float *a = keys[j], *b = keys[j + 1];
        float a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
#pragma omp simd reduction(+ : a0, a1, a2, a3, b0, b1, b2, b3)
        for (std::size_t d = 0; d < D; ++d) {
            a0 += q0[d] * a[d];
            a1 += q1[d] * a[d];
            a2 += q2[d] * a[d];
            a3 += q3[d] * a[d];
            b0 += q0[d] * b[d];
            b1 += q1[d] * b[d];
            b2 += q2[d] * b[d];
            b3 += q3[d] * b[d];
        }
        float* s = scores + j;
        s[0] = a0, s[kKeys] = a1, s[2 * kKeys] = a2, s[3 * kKeys] = a3;
        s[1] = b0, s[kKeys + 1] = b1, s[2 * kKeys + 1] = b2, s[3 * kKeys + 1] = b3;
    }
}

// Turn a row's scores of one chunk into weights, keeping `peak`, `mass` and `out` in step.
POTSTILL_INLINE void soften(float* scores, std::size_t low, std::size_t high, float scale, float& peak,
                            float& mass, float* out, std::size_t D) {
    float chunk_peak = kNothing;
    for (std::size_t j = 0; j < kKeys; ++j) {
        scores[j] = (j >= low && j < high) ? scores[j] * scale : kNothing;
        chunk_peak = scores[j] > chunk_peak ? scores[j] : chunk_peak;
    }
    if (chunk_peak > peak) {
        const float shrink = exp_nonpositive(peak - chunk_peak);
        for (std::size_t d = 0; d < D; ++d) out[d] *= shrink;
        mass *= shrink;
        peak = chunk_peak;
    }
    const float shift = peak;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t j = 0; j < kKeys; ++j) {
        scores[j] = exp_nonpositive(scores[j] - shift);
        sum += scores[j];
    }
    mass += sum;
}

POTSTILL_INLINE void weigh_rows(const float* weights, const KeyRows& values, std::size_t num_keys,
                                std::size_t D, float* out) {
    float *o0 = out, *o1 = out + D, *o2 = out + 2 * D, *o3 = out + 3 * D;
    for (std::size_t j = 0; j < num_keys; j += 4) {
        const float *a = values[j], *b = values[j + 1], *c = values[j + 2], *e = values[j + 3];
        const float *w0 = weights + j, *w1 = w0 + kKeys, *w2 = w1 + kKeys, *w3 = w2 + kKeys;
#pragma omp simd
        for (std::size_t d = 0; d < D; ++d) {
            const float va = a[d], vb = b[d], vc = c[d], ve = e[d];
            o0[d] += w0[0] * va + w0[1] * vb + w0[2] * vc + w0[3] * ve;
            o1[d] += w1[0] * va + w1[1] * vb + w1[2] * vc + w1[3] * ve;
            o2[d] += w2[0] * va + w2[1] * vb + w2[2] * vc + w2[3] * ve;
            o3[d] += w3[0] * va + w3[1] * vb + w3[2] * vc + w3[3] * ve;
        }
    }
}

// The first position that a query at `position` sees.
POTSTILL_INLINE std::size_t first_seen(std::size_t position, std::size_t window) {
    return position >= window ? position - window + 1 : 0;
}

template <typename T>
POTSTILL_INLINE void begin_tile(const TileCall<T>& call, std::size_t num_rows, std::size_t padded,
                                Scratch& scratch) {
    const std::size_t D = call.head_size;
    for (std::size_t r = 0; r < padded; ++r) {
        const float* source = call.q + r / call.group * call.query_stride + r % call.group * D;
        float* target = scratch.q.data() + r * D;
        if (r < num_rows) {
            std::copy_n(source, D, target);
        } else {
            std::fill_n(target, D, 0.0F);
        }
        scratch.peak[r] = kNothing;
        scratch.mass[r] = 0;
    }
    std::fill_n(scratch.out.data(), padded * D, 0.0F);
}

template <typename T>
POTSTILL_INLINE void end_tile(const TileCall<T>& call, std::size_t num_rows, Scratch& scratch) {
    const std::size_t D = call.head_size;
    for (std::size_t r = 0; r < num_rows; ++r) {
        float* target = call.out + r / call.group * call.query_stride + r % call.group * D;
        const float* source = scratch.out.data() + r * D;
        const float share = 1.0F / scratch.mass[r];
        for (std::size_t d = 0; d < D; ++d) target[d] = source[d] * share;
    }
}

// Scores of row r over positions begin .. begin + kKeys become weights, zero where the row does not see.
template <typename T>
POTSTILL_INLINE void soften_row(const TileCall<T>& call, std::size_t r, std::size_t last_row,
                                std::size_t begin, Scratch& scratch) {
    const std::size_t position = call.first_position + std::min(r, last_row) / call.group;
    const std::size_t first = first_seen(position, call.window);
    float* scores = scratch.scores.data() + r * kKeys;
    if (position < begin || first >= begin + kKeys) {
        std::fill_n(scores, kKeys, 0.0F);
        return;
    }
    soften(scores, std::max(first, begin) - begin, position + 1 - begin, call.scale, scratch.peak[r],
           scratch.mass[r], scratch.out.data() + r * call.head_size, call.head_size);
}

template <typename T>
POTSTILL_INLINE void attend_tile(const TileCall<T>& call, Scratch& scratch) {
    const std::size_t D = call.head_size, num_rows = call.count * call.group;
    const std::size_t padded = round_up(num_rows, kRowStep), end = call.first_position + call.count;
    begin_tile(call, num_rows, padded, scratch);
    KeyRows rows;
    std::size_t begin = first_seen(call.first_position, call.window) / kKeys * kKeys;
    for (; begin < end; begin += kKeys) {
        const std::size_t num_keys = std::min(kKeys, round_up(end - begin, kKeyStep));
        gather(call, call.keys, begin, end, scratch, rows);
        for (std::size_t r = 0; r < padded; r += kRowStep) {
            dot_rows(scratch.q.data() + r * D, rows, num_keys, D, scratch.scores.data() + r * kKeys);
        }
        for (std::size_t r = 0; r < padded; ++r) soften_row(call, r, num_rows - 1, begin, scratch);
        gather(call, call.values, begin, end, scratch, rows);
        for (std::size_t r = 0; r < padded; r += kRowStep) {
            weigh_rows(scratch.scores.data() + r * kKeys, rows, num_keys, D, scratch.out.data() + r * D);
        }
    }
    end_tile(call, num_rows, scratch);
}

POTSTILL_CLONES void attend(const TileCall<float>& call, Scratch& scratch) { attend_tile(call, scratch); }
POTSTILL_CLONES void attend(const TileCall<bf16>& call, Scratch& scratch) { attend_tile(call, scratch); }

void require(bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
}

void require(bool holds, const char* text, std::size_t number) {
    if (!holds) throw std::invalid_argument(text + std::to_string(number));
}

void check_row(const CacheShape& shape, const PagedRows& rows, std::size_t b) {
    const std::int64_t cached = rows.num_cached[b], count = std::int64_t{rows.starts[b + 1]} - rows.starts[b];
    require(cached >= 0, "num_cached is negative for sequence ", b);
    require(count >= 0, "starts decreases after entry ", b);
    const auto needed = (static_cast<std::size_t>(cached + count) + shape.block_size - 1) / shape.block_size;
    require(needed <= rows.blocks_per_row, "block_tables has too few blocks for sequence ", b);
    for (std::size_t i = 0; i < needed; ++i) {
        const BlockId block = rows.block_tables[b * rows.blocks_per_row + i];
        if (block >= 0 && static_cast<std::size_t>(block) < shape.num_blocks) continue;
        throw std::out_of_range("block_tables[" + std::to_string(b) + ", " + std::to_string(i) + "] is " +
                                std::to_string(block) + "; the cache has " +
                                std::to_string(shape.num_blocks) + " blocks");
    }
}

void check_rows(const CacheShape& shape, const PagedRows& rows, std::size_t num_queries) {
    const std::size_t B = rows.num_cached.size();
    require(rows.starts.size() == B + 1, "starts must have one more entry than num_cached, which has ", B);
    require(rows.block_tables.size() == B * rows.blocks_per_row,
            "block_tables must have a row for each of num_cached");
    require(rows.starts[0] == 0 && static_cast<std::size_t>(rows.starts[B]) == num_queries,
            "starts must go from 0 to the number of queries in q");
    for (std::size_t b = 0; b < B; ++b) check_row(shape, rows, b);
}

void check_sizes(const CacheShape& shape, std::size_t num_heads, std::size_t q_size, std::size_t out_size,
                 std::size_t keys_size, std::size_t values_size) {
    const std::size_t K = shape.num_kv_heads;
    require(K > 0 && shape.head_size > 0 && shape.block_size > 0, "keys has an empty dimension");
    require(num_heads > 0 && num_heads % K == 0, "q must have a multiple of the heads of keys, which has ",
            K);
    require(keys_size == shape.size() && values_size == shape.size(), "values must have the shape of keys");
    require(q_size % (num_heads * shape.head_size) == 0 && out_size == q_size,
            "out must have the shape of q, [N, H, D]");
}

std::vector<Tile> tiles_of(const PagedRows& rows, std::size_t queries_per_tile) {
    std::vector<Tile> tiles;
    for (std::size_t b = 0; b < rows.num_cached.size(); ++b) {
        const auto end = static_cast<std::size_t>(rows.starts[b + 1]);
        for (auto first = static_cast<std::size_t>(rows.starts[b]); first < end; first += queries_per_tile) {
            tiles.push_back({b, first, std::min(queries_per_tile, end - first)});
        }
    }
    return tiles;
}

// All but the pointers into q, out, keys and values.
template <typename T>
TileCall<T> call_for(const CacheShape& shape, const PagedRows& rows, const AttentionOptions& options,
                     const Tile& tile, std::size_t group) {
    TileCall<T> call{};
    call.block_table = rows.block_tables.data() + tile.row * rows.blocks_per_row;
    call.count = tile.count;
    call.group = group;
    call.query_stride = shape.num_kv_heads * group * shape.head_size;
    call.position_stride = shape.num_kv_heads * shape.head_size;
    call.block_size = shape.block_size;
    call.head_size = shape.head_size;
    call.first_position = static_cast<std::size_t>(rows.num_cached[tile.row]) + tile.first -
                          static_cast<std::size_t>(rows.starts[tile.row]);
    call.window =
        options.window ? static_cast<std::size_t>(*options.window) : std::numeric_limits<std::size_t>::max();
    call.scale = options.scale;
    return call;
}

}  // namespace

template <typename T>
void paged_attention(std::span<const float> q, std::span<const T> keys, std::span<const T> values,
                     const CacheShape& shape, const PagedRows& rows, const AttentionOptions& options,
                     std::size_t num_heads, std::span<float> out) {
    check_sizes(shape, num_heads, q.size(), out.size(), keys.size(), values.size());
    require(!options.window || *options.window >= 1, "window must be at least 1");
    const std::size_t K = shape.num_kv_heads, D = shape.head_size, group = num_heads / K;
    check_rows(shape, rows, q.size() / (num_heads * D));

    const std::size_t queries_per_tile = std::max<std::size_t>(1, kTileRows / group);
    const std::vector<Tile> tiles = tiles_of(rows, queries_per_tile);
    const std::size_t padded_rows = round_up(queries_per_tile * group, kRowStep);
    std::vector<Scratch> scratch(static_cast<std::size_t>(max_threads()), Scratch(padded_rows, D));
    const auto num_items = static_cast<std::int64_t>(tiles.size() * K);
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t item = 0; item < num_items; ++item) {
        const Tile& tile = tiles[static_cast<std::size_t>(item) / K];
        const std::size_t kv_head = static_cast<std::size_t>(item) % K;
        const std::size_t at = (tile.first * num_heads + kv_head * group) * D;
        TileCall<T> call = call_for<T>(shape, rows, options, tile, group);
        call.q = q.data() + at;
        call.out = out.data() + at;
        call.keys = keys.data() + kv_head * D;
        call.values = values.data() + kv_head * D;
        attend(call, scratch[static_cast<std::size_t>(thread_index())]);
    }
}

template void paged_attention<float>(std::span<const float>, std::span<const float>, std::span<const float>,
                                     const CacheShape&, const PagedRows&, const AttentionOptions&,
                                     std::size_t, std::span<float>);
template void paged_attention<bf16>(std::span<const float>, std::span<const bf16>, std::span<const bf16>,
                                    const CacheShape&, const PagedRows&, const AttentionOptions&, std::size_t,
                                    std::span<float>);

}  // namespace potstill
