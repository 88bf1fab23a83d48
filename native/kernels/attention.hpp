// Attention of new tokens over keys and values that lie in blocks (Kwon et al. 2023, arXiv:2309.06180,
// section 4), with the softmax taken chunk by chunk (Milakov and Gimelshein 2018, arXiv:1805.02867, algorithm
// 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/types.hpp"

namespace potstill {

struct CacheShape {
    std::size_t num_blocks;
    std::size_t block_size;
    std::size_t num_kv_heads;
    std::size_t head_size;

    std::size_t size() const { return num_blocks * block_size * num_kv_heads * head_size; }
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
        window;  // positions a query sees, its own included; all up to its own if none
};

// out = softmax(scale * q k^T) v, accumulated in float32. q, out [N, H, D]; keys, values as `shape` says, T
// float or bf16. H is a multiple of K. A query's result does not depend on what else is in the call, to the
// last bit. Throws std::invalid_argument where sizes do not fit and std::out_of_range for a block outside the
// cache.
template <typename T>
void paged_attention(std::span<const float> q, std::span<const T> keys, std::span<const T> values,
                     const CacheShape& shape, const PagedRows& rows, const AttentionOptions& options,
                     std::size_t num_heads, std::span<float> out);

}  // namespace potstill
