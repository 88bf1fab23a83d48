// What a run is given, looked at before anything is read or written through it.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "runner/program.hpp"

namespace potstill {
namespace {

void require(bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
}

// Every number is in [0, end).
void check_range(std::span<const std::int64_t> numbers, std::size_t end, const char* name) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (numbers[i] >= 0 && static_cast<std::uint64_t>(numbers[i]) < end) continue;
        throw std::invalid_argument(std::string(name) + "[" + std::to_string(i) + "] is " +
                                    std::to_string(numbers[i]) + "; it must be in [0, " +
                                    std::to_string(end) + ")");
    }
}

void check_starts(std::span<const std::int32_t> starts, std::size_t num_tokens) {
    require(!starts.empty() && starts.front() == 0 && static_cast<std::size_t>(starts.back()) == num_tokens,
            "starts must go from 0 to the number of tokens");
    require(std::is_sorted(starts.begin(), starts.end()), "starts decreases");
}

void check_encoder(const RunInputs& in) {
    const std::size_t B = in.rows.starts.size() - 1;
    require(in.encoder_lengths.size() == B, "encoder_lengths must have one entry a sequence");
    require(in.encoder_tables.size() == B * in.encoder_blocks, "encoder_tables must have a row a sequence");
    for (std::size_t b = 0; b < B; ++b) {
        const std::int32_t length = in.encoder_lengths[b];
        require(length >= 1, "encoder_lengths must be at least 1");
        const std::size_t needed =
            (static_cast<std::size_t>(length) + in.cache.shape.block_size - 1) / in.cache.shape.block_size;
        require(needed <= in.encoder_blocks, "encoder_tables has too few blocks for its length");
        for (std::size_t i = 0; i < needed; ++i) {
            const BlockId block = in.encoder_tables[b * in.encoder_blocks + i];
            if (block >= 0 && static_cast<std::size_t>(block) < in.cache.shape.num_blocks) continue;
            throw std::out_of_range("encoder_tables[" + std::to_string(b) + ", " + std::to_string(i) +
                                    "] is " + std::to_string(block) + "; the cache has " +
                                    std::to_string(in.cache.shape.num_blocks) + " blocks");
        }
    }
}

}  // namespace

void Program::check_inputs(const RunInputs& in) const {
    const std::size_t N = in.token_ids.size();
    require(embed_ != nullptr, "this program embeds no tokens");
    check_range(in.token_ids, embed_->num_tokens(), "token_ids");
    if (uses_positions_) {
        require(in.positions.size() == N, "positions must have one entry a token");
        constexpr std::size_t kMostPositions = std::size_t{1} << 30;
        check_range(in.positions, std::min(embed_->num_positions(), kMostPositions), "positions");
    }
    check_range(in.wanted, N, "wanted");
    if (uses_cache_) check_cache(in);
    for (const Heads& heads : heads_) check_keys(in, heads);
}

void Program::check_cache(const RunInputs& in) const {
    const CacheArrays& cache = in.cache;
    require(cache.keys != nullptr && cache.values != nullptr, "this program needs a cache");
    require(cache.num_layers >= num_layers_, "the cache has too few layers");
    require(cache.shape.block_size > 0, "the cache's blocks are empty");
    if (stored_width_ == 0) return;
    require(cache.shape.num_kv_heads * cache.shape.head_size == stored_width_,
            "the cache has other heads than the program");
    require(in.slots.size() == in.token_ids.size(), "slots must have one entry a token");
    check_range(in.slots, cache.shape.num_slots(), "slots");
}

void Program::check_keys(const RunInputs& in, const Heads& heads) const {
    check_starts(in.rows.starts, in.token_ids.size());
    if (heads.keys_of == KeysOf::packed) return;
    require(in.cache.shape.num_kv_heads == heads.num_kv_heads && in.cache.shape.head_size == heads.head_size,
            "the cache has other heads than the program");
    if (heads.keys_of == KeysOf::encoder) return check_encoder(in);
    check_rows(in.cache.shape, in.rows, in.token_ids.size());
}

void Program::make_plans(const RunInputs& in) {
    for (std::size_t i = 0; i < heads_.size(); ++i) {
        const Heads& heads = heads_[i];
        sequences_.clear();
        for (std::size_t b = 0; b + 1 < in.rows.starts.size(); ++b) {
            const auto first = static_cast<std::size_t>(in.rows.starts[b]);
            const std::size_t count = static_cast<std::size_t>(in.rows.starts[b + 1]) - first;
            sequences_.push_back({first, count, 0, count, nullptr});
            if (heads.keys_of == KeysOf::encoder) {
                sequences_.back().num_keys = static_cast<std::size_t>(in.encoder_lengths[b]);
                sequences_.back().block_table = in.encoder_tables.data() + b * in.encoder_blocks;
            }
        }
        if (heads.keys_of == KeysOf::cache) list_sequences(in.rows, sequences_);
        plans_[i].make(sequences_, heads.num_heads, heads.num_kv_heads, heads.head_size, threads_.size());
        for (RunThread& thread : threads_) thread.scratch.reserve(plans_[i].max_rows(), heads.head_size);
    }
}

}  // namespace potstill
