#include "kernels/attention.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/check.hpp"

namespace potstill {
namespace {

struct Call {
    CacheShape shape;
    std::size_t num_heads;
    std::vector<BlockId> block_tables;
    std::vector<std::int32_t> starts, num_cached;
    std::size_t blocks_per_row;

    PagedRows rows() const { return {block_tables, starts, num_cached, blocks_per_row}; }
    std::size_t num_queries() const { return static_cast<std::size_t>(starts.back()); }
};

bf16 narrow(float x) { return {static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16)}; }
void narrow_to(float x, float& out) { out = x; }
void narrow_to(float x, bf16& out) { out = narrow(x); }

// Two passes in double over what the query sees.
template <typename T>
double attend_plainly(const Call& call, const std::vector<float>& q, const std::vector<T>& keys,
                      const std::vector<T>& values, const AttentionOptions& options, std::size_t row,
                      std::size_t query, std::size_t head, std::size_t d) {
    const auto [num_blocks, block_size, K, D] = call.shape;
    const auto position = static_cast<std::int64_t>(query) - call.starts[row] + call.num_cached[row];
    const std::int64_t first = options.window ? std::max<std::int64_t>(0, position - *options.window + 1) : 0;
    double mass = 0, sum = 0;
    for (std::int64_t seen = first; seen <= position; ++seen) {
        const auto at = static_cast<std::size_t>(seen);
        const auto block =
            static_cast<std::size_t>(call.block_tables[row * call.blocks_per_row + at / block_size]);
        const std::size_t entry =
            ((block * block_size + at % block_size) * K + head / (call.num_heads / K)) * D;
        double score = 0;
        for (std::size_t i = 0; i < D; ++i) {
            score += static_cast<double>(q[(query * call.num_heads + head) * D + i]) * widen(keys[entry + i]);
        }
        score *= options.scale;
        if (options.bias != nullptr) {
            const auto width = static_cast<std::int64_t>(options.bias_width);
            const std::int64_t column = std::clamp<std::int64_t>(seen - position + width / 2, 0, width - 1);
            score += static_cast<double>(options.bias[static_cast<std::int64_t>(head) * width + column]);
        }
        if (options.softcap > 0) score = options.softcap * std::tanh(score / options.softcap);
        const double weight = std::exp(score);
        mass += weight;
        sum += weight * widen(values[entry + d]);
    }
    return sum / mass;
}

template <typename T>
void compare(const Call& call, std::optional<std::int32_t> window, float softcap = 0,
             std::size_t bias_width = 0) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const std::size_t D = call.shape.head_size, H = call.num_heads;
    std::vector<T> keys(call.shape.size()), values(call.shape.size());
    for (T& x : keys) narrow_to(normal(random), x);
    for (T& x : values) narrow_to(normal(random), x);
    std::vector<float> q(call.num_queries() * H * D), out(q.size(), -7.0F);
    for (float& x : q) x = normal(random);
    std::vector<float> bias(H * bias_width);
    for (float& x : bias) x = normal(random);
    const AttentionOptions options{0.3F, window, softcap, bias_width ? bias.data() : nullptr, bias_width};
    paged_attention<T>(q, keys, values, call.shape, call.rows(), options, H, out);
    for (std::size_t row = 0; row < call.num_cached.size(); ++row) {
        for (auto query = static_cast<std::size_t>(call.starts[row]);
             query < static_cast<std::size_t>(call.starts[row + 1]); ++query) {
            for (std::size_t head = 0; head < H; ++head) {
                for (std::size_t d = 0; d < D; ++d) {
                    const double want =
                        attend_plainly<T>(call, q, keys, values, options, row, query, head, d);
                    CHECK(is_close(out[(query * H + head) * D + d], want, 1e-5));
                }
            }
        }
    }
}

Call example(std::size_t num_heads, std::size_t num_kv_heads, std::size_t head_size) {
    return {.shape = {9, 16, num_kv_heads, head_size},
            .num_heads = num_heads,
            .block_tables = {4, 0, 8, 2, 1, 0, 3, 3, 3, 7, 5, 6},
            .starts = {0, 40, 41, 41},
            .num_cached = {3, 17, 2},
            .blocks_per_row = 4};
}

void what_is_no_number_stays_so_in_its_own_row() {
    const Call call = example(4, 2, 16);
    const std::vector<float> cache(call.shape.size(), 0.5F);
    for (const float softcap : {0.0F, 1.5F}) {
        std::vector<float> q(call.num_queries() * 64, 0.25F), out(q.size());
        q[5 * 64 + 16] = NAN;
        paged_attention<float>(q, cache, cache, call.shape, call.rows(), {0.3F, {}, softcap}, 4, out);
        for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isnan(out[i]) == (i / 16 == 5 * 4 + 1));
    }
}

// 64 tiles of 40 segments, for far more threads.
void parts_are_kept_for_some_tiles_only_where_all_would_take_too_much_memory() {
    const AttendedSequence sequence{0, 512, 2048, 2560, nullptr};
    AttentionPlan plan;
    plan.make({&sequence, 1}, 4, 1, 256, 256);
    CHECK(plan.is_split() && plan.tiles().size() == 64);
    CHECK(plan.num_items() > 1000 && plan.num_items() < 64 * 40);
    plan.make({&sequence, 1}, 4, 1, 16, 256);
    CHECK(plan.num_items() == 64 * 40);
}

void refuses_what_does_not_fit() {
    const Call good = example(2, 1, 4);
    const std::vector<float> q(good.num_queries() * 8), cache(good.shape.size());
    std::vector<float> out(q.size());
    const auto run = [&](const Call& call, std::optional<std::int32_t> window = {}) {
        const AttentionOptions options{1.0F, window};
        paged_attention<float>(q, cache, cache, call.shape, call.rows(), options, call.num_heads, out);
    };
    run(good);
    Call bad = good;
    bad.block_tables[1] = 9;
    CHECK_THROWS(run(bad), std::out_of_range);
    bad.block_tables[1] = -1;
    CHECK_THROWS(run(bad), std::out_of_range);
    bad = good;
    bad.num_cached[0] = 25;
    CHECK_THROWS(run(bad), std::invalid_argument);
    bad.num_cached[0] = -1;
    CHECK_THROWS(run(bad), std::invalid_argument);
    bad = good;
    bad.starts = {0, 41, 40, 41};
    CHECK_THROWS(run(bad), std::invalid_argument);
    bad.starts = {0, 40, 41, 42};
    CHECK_THROWS(run(bad), std::invalid_argument);
    bad.starts = {0, 41};
    CHECK_THROWS(run(bad), std::invalid_argument);
    bad = good;
    bad.shape.num_kv_heads = 3;
    CHECK_THROWS(run(bad), std::invalid_argument);
    CHECK_THROWS(run(good, 0), std::invalid_argument);
}

}  // namespace

void test_attention() {
    for (const std::optional<std::int32_t> window : {std::optional<std::int32_t>{}, {1}, {9}, {33}}) {
        compare<float>(example(4, 1, 24), window);
        compare<bf16>(example(4, 2, 64), window);
        compare<bf16>(example(3, 3, 5), window);
        compare<float>(example(37, 1, 3), window);
        compare<float>(example(4, 2, 16), window, 1.5F);
        compare<bf16>(example(4, 4, 16), window, 0, 9);
        compare<float>(example(4, 2, 8), window, 0, 101);
    }
    what_is_no_number_stays_so_in_its_own_row();
    parts_are_kept_for_some_tiles_only_where_all_would_take_too_much_memory();
    refuses_what_does_not_fit();
}

}  // namespace potstill
