#include "kernels/attention.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>

#include "kernels/threads.hpp"

namespace potstill {
namespace {

constexpr std::size_t kAimedRows = 32;                            // rows that share one widening of a chunk
constexpr std::size_t kMostPartialFloats = std::size_t{1} << 24;  // 64 MiB

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

}  // namespace

void check_rows(const CacheShape& shape, const PagedRows& rows, std::size_t num_queries) {
    const std::size_t B = rows.num_cached.size();
    require(rows.starts.size() == B + 1, "starts must have one more entry than num_cached, which has ", B);
    require(rows.block_tables.size() == B * rows.blocks_per_row,
            "block_tables must have a row for each of num_cached");
    require(rows.starts[0] == 0 && static_cast<std::size_t>(rows.starts[B]) == num_queries,
            "starts must go from 0 to the number of queries in q");
    for (std::size_t b = 0; b < B; ++b) check_row(shape, rows, b);
}

namespace {

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

// All that one item reads and writes.
template <typename T>
AttentionTile<T> tile_for(const AttentionPlan& plan, const AttentionPlan::Tile& place, std::size_t kv_head,
                          const AttentionArrays<T>& arrays, const AttentionOptions& options) {
    const AttendedSequence& sequence = plan.sequence(place);
    const std::size_t D = plan.head_size(), head = kv_head * plan.group();
    const std::size_t base = sequence.block_table == nullptr ? sequence.first : 0;
    AttentionTile<T> tile{};
    tile.q = arrays.q + place.first * arrays.query_stride + head * D;
    tile.out = arrays.out + place.first * arrays.out_stride + head * D;
    tile.keys = arrays.keys + base * arrays.slot_stride + kv_head * D;
    tile.values = arrays.values + base * arrays.slot_stride + kv_head * D;
    tile.block_table = sequence.block_table;
    tile.count = place.count;
    tile.group = plan.group();
    tile.query_stride = arrays.query_stride;
    tile.out_stride = arrays.out_stride;
    tile.slot_stride = arrays.slot_stride;
    tile.block_size = arrays.block_size;
    tile.head_size = D;
    tile.first_position = sequence.first_position + place.first - sequence.first;
    tile.num_keys = sequence.num_keys;
    tile.window =
        options.window ? static_cast<std::size_t>(*options.window) : std::numeric_limits<std::size_t>::max();
    tile.is_causal = options.is_causal;
    tile.scale = options.scale;
    tile.softcap = options.softcap;
    tile.bias = options.bias == nullptr ? nullptr : options.bias + head * options.bias_width;
    tile.bias_width = options.bias_width;
    return tile;
}

std::size_t num_segments_of(const AttendedSequence& sequence) {
    return (sequence.num_keys + kSegmentKeys - 1) / kSegmentKeys;
}

}  // namespace

void list_sequences(const PagedRows& rows, std::vector<AttendedSequence>& sequences) {
    sequences.clear();
    for (std::size_t b = 0; b < rows.num_cached.size(); ++b) {
        const auto first = static_cast<std::size_t>(rows.starts[b]);
        const std::size_t count = static_cast<std::size_t>(rows.starts[b + 1]) - first;
        const auto cached = static_cast<std::size_t>(rows.num_cached[b]);
        sequences.push_back(
            {first, count, cached, cached + count, rows.block_tables.data() + b * rows.blocks_per_row});
    }
}

void AttentionPlan::make(std::span<const AttendedSequence> sequences, std::size_t num_heads,
                         std::size_t num_kv_heads, std::size_t head_size, std::size_t num_threads) {
    sequences_.assign(sequences.begin(), sequences.end());
    num_kv_heads_ = num_kv_heads, group_ = num_heads / num_kv_heads, head_size_ = head_size;
    const std::size_t step = std::max<std::size_t>(1, kAimedRows / group_);
    max_rows_ = step * group_;
    tiles_.clear(), items_.clear();
    for (std::size_t s = 0; s < sequences.size(); ++s) {
        const std::size_t end = sequences[s].first + sequences[s].count;
        for (std::size_t first = sequences[s].first; first < end; first += step) {
            tiles_.push_back({s, first, std::min(step, end - first), 0, 0});
        }
    }
    num_partial_floats_ = 0;
    is_split_ = num_threads > 1 && tiles_.size() * num_kv_heads_ < 2 * num_threads;
    for (std::size_t t = 0; t < tiles_.size(); ++t) split(t);
    is_split_ = num_partial_floats_ > 0;
    partials_.resize(std::max(partials_.size(), num_partial_floats_));
}

void AttentionPlan::split(std::size_t t) {
    Tile& tile = tiles_[t];
    const std::size_t num_segments = num_segments_of(sequences_[tile.sequence]);
    const std::size_t floats = num_segments * num_kv_heads_ * soft_floats(padded_rows(tile), head_size_);
    if (!is_split_ || num_segments < 2 || num_partial_floats_ + floats > kMostPartialFloats) {
        items_.push_back({t, 0});
        return;
    }
    tile.num_segments = num_segments;
    tile.first_partial = num_partial_floats_;
    num_partial_floats_ += floats;
    for (std::size_t segment = 0; segment < num_segments; ++segment) items_.push_back({t, segment});
}

SoftSums AttentionPlan::partial(const Tile& tile, std::size_t segment, std::size_t kv_head) const {
    const std::size_t rows = padded_rows(tile), index = segment * num_kv_heads_ + kv_head;
    float* first = partials_.data() + tile.first_partial;
    return soft_sums(first + index * soft_floats(rows, head_size_), rows, head_size_);
}

template <typename T>
void attend_item(const AttentionPlan& plan, const AttentionArrays<T>& arrays, const AttentionOptions& options,
                 std::size_t item, AttentionScratch& scratch) {
    const std::size_t kv_head = item % plan.num_kv_heads();
    const AttentionPlan::Item& work = plan.items()[item / plan.num_kv_heads()];
    const AttentionPlan::Tile& place = plan.tiles()[work.tile];
    const AttentionTile<T> tile = tile_for(plan, place, kv_head, arrays, options);
    if (place.num_segments == 0) return attend_tile(tile, scratch);
    attend_segment(tile, work.segment, scratch, plan.partial(place, work.segment, kv_head));
}

template <typename T>
void finish_queries(const AttentionPlan& plan, const AttentionArrays<T>& arrays,
                    const AttentionOptions& options, std::size_t first, std::size_t end,
                    AttentionScratch& scratch) {
    if (!plan.is_split()) return;
    const std::size_t group = plan.group(), D = plan.head_size();
    for (const AttentionPlan::Tile& place : plan.tiles()) {
        const std::size_t low = std::max(first, place.first), high = std::min(end, place.first + place.count);
        if (place.num_segments == 0 || low >= high) continue;
        const std::size_t from = (low - place.first) * group, to = (high - place.first) * group;
        for (std::size_t kv_head = 0; kv_head < plan.num_kv_heads(); ++kv_head) {
            const SoftSums total = soft_sums(scratch.total.data(), plan.padded_rows(place), D);
            clear_sums(total, from, to, D);
            for (std::size_t s = 0; s < place.num_segments; ++s) {
                merge_sums(plan.partial(place, s, kv_head), total, from, to, D);
            }
            write_rows(tile_for(plan, place, kv_head, arrays, options), total, from, to);
        }
    }
}

template <typename T>
void paged_attention(std::span<const float> q, std::span<const T> keys, std::span<const T> values,
                     const CacheShape& shape, const PagedRows& rows, const AttentionOptions& options,
                     std::size_t num_heads, std::span<float> out) {
    check_sizes(shape, num_heads, q.size(), out.size(), keys.size(), values.size());
    require(!options.window || *options.window >= 1, "window must be at least 1");
    require(options.softcap >= 0, "softcap must be above 0");
    require(options.bias == nullptr || options.bias_width % 2 == 1,
            "bias must have an odd number of columns");
    const std::size_t K = shape.num_kv_heads, D = shape.head_size;
    const std::size_t N = q.size() / (num_heads * D);
    check_rows(shape, rows, N);

    std::vector<AttendedSequence> sequences;
    list_sequences(rows, sequences);
    const auto num_threads = static_cast<std::size_t>(max_threads());
    AttentionPlan plan;
    plan.make(sequences, num_heads, K, D, num_threads);
    std::vector<AttentionScratch> scratch(num_threads);
    for (AttentionScratch& one : scratch) one.reserve(plan.max_rows(), D);
    const AttentionArrays<T> arrays{q.data(),      out.data(),    keys.data(), values.data(),
                                    num_heads * D, num_heads * D, K * D,       shape.block_size};
    std::atomic<std::size_t> next{0};
    TeamBarrier barrier;
#pragma omp parallel
    {
        AttentionScratch& own = scratch[static_cast<std::size_t>(thread_index())];
        for (std::size_t item; (item = next.fetch_add(1)) < plan.num_items();) {
            attend_item(plan, arrays, options, item, own);
        }
        barrier.wait(static_cast<std::size_t>(team_size()));
        const Share share = share_of(N);
        finish_queries(plan, arrays, options, share.begin, share.end, own);
    }
}

#define POTSTILL_INSTANTIATE(T)                                                                            \
    template void attend_item<T>(const AttentionPlan&, const AttentionArrays<T>&, const AttentionOptions&, \
                                 std::size_t, AttentionScratch&);                                          \
    template void finish_queries<T>(const AttentionPlan&, const AttentionArrays<T>&,                       \
                                    const AttentionOptions&, std::size_t, std::size_t, AttentionScratch&); \
    template void paged_attention<T>(std::span<const float>, std::span<const T>, std::span<const T>,       \
                                     const CacheShape&, const PagedRows&, const AttentionOptions&,         \
                                     std::size_t, std::span<float>);
POTSTILL_INSTANTIATE(float)
POTSTILL_INSTANTIATE(bf16)

}  // namespace potstill
