// Attention of new tokens over keys and values that lie in blocks (Kwon et al. 2023, arXiv:2309.06180,
// section 4), with the softmax taken segment by segment (Milakov and Gimelshein 2018, arXiv:1805.02867,
// algorithm 3; Dao et al. 2023, "Flash-Decoding", for segments taken by several threads).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/attention_tile.hpp"
#include "kernels/types.hpp"

namespace potstill {

struct CacheShape {
    std::size_t num_blocks;
    std::size_t block_size;
    std::size_t num_kv_heads;
    std::size_t head_size;

    std::size_t size() const { return num_blocks * block_size * num_kv_heads * head_size; }
    std::size_t num_slots() const { return num_blocks * block_size; }
};

// Whose tokens the N packed queries are. Sequence b owns queries starts[b] .. starts[b + 1], the last of the
// num_cached[b] + (starts[b + 1] - starts[b]) positions that its row of block_tables covers.
struct PagedRows {
    std::span<const BlockId> block_tables;     // [B, blocks_per_row]
    std::span<const std::int32_t> starts;      // [B + 1]
    std::span<const std::int32_t> num_cached;  // [B]
    std::size_t blocks_per_row;
};

struct AttentionOptions {
    float scale;
    std::optional<std::int32_t>
        window;                   // positions a query sees, its own included; all up to its own if none
    float softcap = 0;            // scores become softcap * tanh(scores / softcap); 0 leaves them
    const float* bias = nullptr;  // [H, bias_width], added to the scaled scores; null for none
    std::size_t bias_width = 0;   // odd: its middle is distance 0 from query to key, its ends all beyond
    bool is_causal = true;
};

// One sequence's queries and keys.
struct AttendedSequence {
    std::size_t first;           // packed index of its first query
    std::size_t count;           // queries
    std::size_t first_position;  // of its first query among its keys
    std::size_t num_keys;
    const BlockId*
        block_table;  // null: its keys are rows first .. first + num_keys of the queries' own buffer
};

// The sequences of paged rows, whose queries see all before them.
void list_sequences(const PagedRows& rows, std::vector<AttendedSequence>& sequences);

// Throws std::invalid_argument where sizes do not fit and std::out_of_range for a block outside the cache.
void check_rows(const CacheShape& shape, const PagedRows& rows, std::size_t num_queries);

// Who does what in an attention over given sequences: the same plan for all layers of a step.
class AttentionPlan {
  public:
    struct Tile {
        std::size_t sequence;
        std::size_t first;  // packed index of the first query
        std::size_t count;
        std::size_t num_segments;   // 0 where one thread does all
        std::size_t first_partial;  // where its partial sums begin, in floats
    };
    struct Item {
        std::size_t tile;
        std::size_t segment;
    };

    // Tiles of few queries over many keys are split by segments where there would be too little to do for
    // `num_threads` otherwise, as long as there is room for their parts.
    void make(std::span<const AttendedSequence> sequences, std::size_t num_heads, std::size_t num_kv_heads,
              std::size_t head_size, std::size_t num_threads);

    std::span<const Tile> tiles() const { return tiles_; }
    std::span<const Item> items() const { return items_; }
    std::size_t num_items() const { return items_.size() * num_kv_heads_; }
    std::size_t num_kv_heads() const { return num_kv_heads_; }
    std::size_t head_size() const { return head_size_; }
    std::size_t group() const { return group_; }
    bool is_split() const { return is_split_; }
    std::size_t max_rows() const { return max_rows_; }
    std::size_t padded_rows(const Tile& tile) const {
        return (tile.count * group_ + kRowStep - 1) / kRowStep * kRowStep;
    }
    SoftSums partial(const Tile& tile, std::size_t segment, std::size_t kv_head) const;
    const AttendedSequence& sequence(const Tile& tile) const { return sequences_[tile.sequence]; }

  private:
    void split(std::size_t tile);

    std::vector<AttendedSequence> sequences_;
    std::vector<Tile> tiles_;
    std::vector<Item> items_;
    mutable std::vector<float> partials_;
    std::size_t num_partial_floats_ = 0;
    std::size_t num_kv_heads_ = 1, group_ = 1, head_size_ = 1, max_rows_ = 1;
    bool is_split_ = false;
};

// One layer's arrays. Strides are in elements, from one token or slot to the next.
template <typename T>
struct AttentionArrays {
    const float* q;
    float* out;
    const T* keys;
    const T* values;
    std::size_t query_stride, out_stride, slot_stride, block_size;
};

// Item `item` < plan.num_items(), by whichever thread.
template <typename T>
void attend_item(const AttentionPlan& plan, const AttentionArrays<T>& arrays, const AttentionOptions& options,
                 std::size_t item, AttentionScratch& scratch);

// After all items: queries first .. end get their results, where their tile was split.
template <typename T>
void finish_queries(const AttentionPlan& plan, const AttentionArrays<T>& arrays,
                    const AttentionOptions& options, std::size_t first, std::size_t end,
                    AttentionScratch& scratch);

// out = softmax(scale * q k^T) v, accumulated in float32. q, out [N, H, D]; keys, values as `shape` says, T
// float or bf16. H is a multiple of K. A query's result does not depend on what else is in the call, to the
// last bit. Throws std::invalid_argument where sizes do not fit and std::out_of_range for a block outside the
// cache.
template <typename T>
void paged_attention(std::span<const float> q, std::span<const T> keys, std::span<const T> values,
                     const CacheShape& shape, const PagedRows& rows, const AttentionOptions& options,
                     std::size_t num_heads, std::span<float> out);

}  // namespace potstill
