// One run of a program: what is given to it, and what its threads share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/quantize.hpp"
#include "kernels/threads.hpp"
#include "runner/buffers.hpp"

namespace potstill {

// Blocks of keys and values of all layers, float or bf16.
struct CacheArrays {
    void* keys = nullptr;
    void* values = nullptr;
    std::size_t num_layers = 0;
    CacheShape shape{0, 1, 1, 1};  // of one layer
    bool is_bf16 = false;

    template <typename T>
    T* layer(void* blocks, std::size_t index) const {
        return static_cast<T*>(blocks) + index * shape.size();
    }
};

// What Python hands in. Spans that a program has no use for may be empty.
struct RunInputs {
    std::span<const std::int64_t> token_ids;  // [N]
    std::span<const std::int64_t> positions;  // [N]
    std::span<const std::int64_t> slots;      // [N]: where the tokens' keys and values go
    PagedRows rows{};
    std::span<const BlockId> encoder_tables;        // [B, encoder_blocks]
    std::span<const std::int32_t> encoder_lengths;  // [B]
    std::size_t encoder_blocks = 0;
    CacheArrays cache;
    std::span<const std::int64_t> wanted;  // [M], of the N
};

// Which keys an attention is over.
enum class KeysOf : std::uint8_t { cache, encoder, packed };

struct Heads {
    KeysOf keys_of;
    std::size_t num_heads, num_kv_heads, head_size;
    bool operator==(const Heads&) const = default;
};

// A table whose rows belong to the run's tokens, or to those of them that are wanted.
enum class Space : std::uint8_t { tokens, wanted };

struct Run {
    RunInputs in;
    const Buffers* buffers;
    Activations* activations;
    std::vector<AttentionPlan>* plans;
    std::vector<std::atomic<std::size_t>>* counters;
    TeamBarrier* barrier;
    std::size_t num_rows[2];  // by Space

    std::size_t rows_in(Space space) const { return num_rows[static_cast<std::size_t>(space)]; }
};

struct RunThread {
    std::size_t index = 0, count = 1;
    AttentionScratch scratch;
};

}  // namespace potstill
