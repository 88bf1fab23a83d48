// The inner part of attention: a few queries of one sequence over a stretch of its keys.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/types.hpp"

namespace potstill {

// Keys whose softmax is taken by itself. The result of a query is the merge of its segments in their order,
// so it does not matter which thread takes which.
constexpr std::size_t kSegmentKeys = 64;
constexpr std::size_t kChunkKeys = 32;  // positions looked up at a time, from multiples of it
constexpr std::size_t kRowStep = 4;     // (query, head) rows that share one read of a key

// The queries of one kv head's query heads; row r is query r / group and head r % group.
template <typename T>
struct AttentionTile {
    const float* q;  // at the first query and the first head
    float* out;
    const T* keys;  // at the kv head, in slot 0
    const T* values;
    const BlockId* block_table;  // null where positions lie in a row, from slot 0
    std::size_t count;           // queries
    std::size_t group;           // query heads a kv head
    std::size_t query_stride;    // floats from one query to the next
    std::size_t out_stride;
    std::size_t slot_stride;  // elements from one slot to the next
    std::size_t block_size;
    std::size_t head_size;
    std::size_t first_position;  // of the first query
    std::size_t num_keys;        // of the sequence: no query sees beyond
    std::size_t window;
    bool is_causal;
    float scale;
    float softcap;      // 0 for none
    const float* bias;  // of the first head, [group, bias_width]; null for none
    std::size_t bias_width;

    std::size_t num_rows() const { return count * group; }
};

// Weighted sums, their weights' sums and the greatest scores of a tile's rows, over some of the keys.
struct SoftSums {
    float* out;   // [rows, D padded]
    float* peak;  // [rows]
    float* mass;  // [rows], 0 where nothing was seen
};

constexpr std::size_t padded_head(std::size_t head_size) { return (head_size + 15) / 16 * 16; }
constexpr std::size_t soft_floats(std::size_t rows, std::size_t head_size) {
    return rows * (padded_head(head_size) + 2);
}
inline SoftSums soft_sums(float* room, std::size_t rows, std::size_t head_size) {
    float* peak = room + rows * padded_head(head_size);
    return {room, peak, peak + rows};
}

// Memory of one thread, taken before the threads start: none of them can fail for want of it.
struct AttentionScratch {
    void reserve(std::size_t max_rows, std::size_t head_size);

    std::vector<float> q, keys, zeros, scores, sums, total;
};

// Sums over the keys [segment * kSegmentKeys, …), for every row of the tile rounded up to kRowStep.
template <typename T>
void attend_segment(const AttentionTile<T>& tile, std::size_t segment, AttentionScratch& scratch,
                    SoftSums sums);

// total += part, of rows `first` to `end`; the order of parts is the caller's to keep.
void merge_sums(const SoftSums& part, SoftSums total, std::size_t first, std::size_t end,
                std::size_t head_size);

void clear_sums(SoftSums sums, std::size_t first, std::size_t end, std::size_t head_size);

// Rows `first` to `end` of the sums, whose row 0 is the tile's, to where the tile's results go. Zeros where
// nothing was seen.
template <typename T>
void write_rows(const AttentionTile<T>& tile, SoftSums sums, std::size_t first, std::size_t end);

// All keys that any of the queries sees.
template <typename T>
void attend_tile(const AttentionTile<T>& tile, AttentionScratch& scratch);

// The first segment that a query of the tile sees.
template <typename T>
std::size_t first_segment(const AttentionTile<T>& tile) {
    const std::size_t position = tile.first_position;
    return position >= tile.window ? (position - tile.window + 1) / kSegmentKeys : 0;
}

}  // namespace potstill
