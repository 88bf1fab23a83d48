#include "runner/program.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/activations.hpp"
#include "kernels/norms.hpp"
#include "kernels/rope.hpp"
#include "kernels/threads.hpp"
#include "tests/check.hpp"

namespace potstill {
namespace {

constexpr std::size_t kVocab = 40, kWidth = 24, kHeads = 4, kKeyHeads = 2, kHead = 6, kBlock = 4;

std::vector<float> numbers(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> all(count);
    for (float& x : all) x = normal(random);
    return all;
}

PackedMatrix matrix(std::size_t rows, std::size_t columns, unsigned seed) {
    return PackedMatrix::pack(numbers(rows * columns, seed).data(), rows, columns, WeightKind::float32);
}

void rows_are_normalised() {
    const auto x = numbers(37, 1), weight = numbers(37, 2), bias = numbers(37, 3);
    std::vector<float> rms(37), layer(37, 1.0F);
    rms_norm(x.data(), 37, {weight.data(), nullptr, 1e-6F}, false, rms.data());
    layer_norm(x.data(), 37, {weight.data(), bias.data(), 1e-6F}, true, layer.data());
    double mean = 0, square = 0, variance = 0;
    for (const float v : x) mean += v / 37.0, square += static_cast<double>(v) * v / 37.0;
    for (const float v : x) variance += (v - mean) * (v - mean) / 37.0;
    for (std::size_t i = 0; i < 37; ++i) {
        CHECK(is_close(rms[i], x[i] / std::sqrt(square + 1e-6) * weight[i], 1e-5));
        CHECK(is_close(layer[i], 1 + (x[i] - mean) / std::sqrt(variance + 1e-6) * weight[i] + bias[i], 1e-5));
    }
}

void angles_turn_as_far_as_they_should() {
    const std::vector<float> frequencies{1.0F, 0.37F, 1e-4F, 0.0F, 3.0F};
    std::vector<float> table(10);
    for (const std::int64_t position : {0, 1, 2, 3, 5, 700, 131071, 9999999}) {
        fill_rotation(position, frequencies.data(), 5, table.data());
        for (std::size_t i = 0; i < 5; ++i) {
            const double angle = static_cast<float>(position) * frequencies[i];
            CHECK(std::abs(table[i] - std::cos(angle)) < 3e-7);
            CHECK(std::abs(table[5 + i] - std::sin(angle)) < 3e-7);
        }
    }
    std::vector<float> heads = numbers(14, 5);
    const std::vector<float> before = heads;
    rotate_heads(heads.data(), 2, 7, table.data(), 3);
    CHECK(is_close(heads[8], before[8] * table[1] - before[11] * table[4], 1e-6));
    CHECK(is_close(heads[11], before[11] * table[1] + before[8] * table[4], 1e-6));
    CHECK(heads[6] == before[6] && heads[13] == before[13]);
}

void caps_and_gates_are_near_their_definitions() {
    std::vector<float> x{-1e30F, -40, -3, -0.1F, 0, 0.2F, 7, 1e30F};
    std::vector<float> gated(x.size());
    gate(x.data(), x.data(), 7, Act::silu, gated.data());
    for (std::size_t i = 1; i < 7; ++i) CHECK(is_close(gated[i], x[i] * x[i] / (1 + std::exp(-x[i])), 1e-5));
    std::vector<float> capped = x;
    softcap(capped.data(), capped.size(), 5);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(is_close(capped[i], 5 * std::tanh(x[i] / 5), 1e-6));
    float none = NAN;
    softcap(&none, 1, 5);
    CHECK(std::isnan(none));
}

void nobody_passes_a_barrier_before_all_have_come() {
    constexpr std::size_t kThreads = 4, kRounds = 300;
    TeamBarrier barrier;
    std::atomic<std::size_t> num_arrived{0}, num_early{0};
    const auto meet = [&] {
        for (std::size_t round = 1; round <= kRounds; ++round) {
            ++num_arrived;
            barrier.wait(kThreads);
            if (num_arrived != round * kThreads) ++num_early;
            barrier.wait(kThreads);
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(meet);
    for (std::thread& thread : threads) thread.join();
    CHECK(num_early == 0);
}

// One layer of attention over a cache, and what it is run with.
struct Example {
    PackedMatrix table = matrix(kVocab, kWidth, 1), qkv = matrix((kHeads + 2 * kKeyHeads) * kHead, kWidth, 2),
                 out = matrix(kWidth, kHeads* kHead, 3);
    Program program;
    CacheShape shape{8, kBlock, kKeyHeads, kHead};
    std::vector<float> keys = std::vector<float>(shape.size(), NAN), values = keys;
    std::vector<BlockId> blocks{5, 1, 7, 0, 3};

    Example() {
        const std::size_t q_size = kHeads * kHead, k_size = kKeyHeads * kHead;
        const View x{program.add_buffer(kWidth), 0, kWidth};
        const std::size_t fused = program.add_buffer(qkv.rows());
        const View all{fused, 0, qkv.rows()}, q{fused, 0, q_size}, k{fused, q_size, k_size},
            v{fused, q_size + k_size, k_size};
        const View attended{program.add_buffer(q_size), 0, q_size}, turns{program.add_buffer(4), 0, 4};
        program.embed(table, 2.0F, nullptr, 0, x);
        program.rotation({0.5F, 0.1F}, turns);
        program.linear(x, qkv, {}, Act::none, false, all);
        program.rotate({fused, 0, q_size + k_size}, kHeads + kKeyHeads, turns);
        program.store(0, k, v);
        program.attend(
            {0, {KeysOf::cache, kHeads, kKeyHeads, kHead}, q, {}, {}, attended, 0.3F, {}, 0, {}, 0, true});
        program.linear(attended, out, {}, Act::none, true, x);
        const View hidden{program.add_buffer(kWidth), 0, kWidth};
        program.select(x, hidden);
        program.norm(hidden, hidden, std::vector<float>(kWidth, 1), {}, {true, 1e-6F, 1, false});
        program.result(hidden);
        program.head(table, {}, 3.0F);
    }

    // Positions first .. end of one sequence; logits of the last.
    std::vector<float> run(std::size_t first, std::size_t end) {
        std::vector<std::int64_t> ids, positions, slots;
        for (std::size_t at = first; at < end; ++at) {
            ids.push_back(static_cast<std::int64_t>(at * 7 % kVocab));
            positions.push_back(static_cast<std::int64_t>(at));
            slots.push_back(blocks[at / kBlock] * static_cast<std::int64_t>(kBlock) +
                            static_cast<std::int64_t>(at % kBlock));
        }
        const std::vector<std::int64_t> wanted{static_cast<std::int64_t>(end - first) - 1};
        const std::vector<std::int32_t> starts{0, static_cast<std::int32_t>(end - first)};
        const std::vector<std::int32_t> cached{static_cast<std::int32_t>(first)};
        RunInputs in = inputs(ids, positions, slots, starts, cached);
        in.wanted = wanted;
        std::vector<float> logits(kVocab);
        program.run_logits(in, logits.data());
        return logits;
    }

    RunInputs inputs(const std::vector<std::int64_t>& ids, const std::vector<std::int64_t>& positions,
                     const std::vector<std::int64_t>& slots, const std::vector<std::int32_t>& starts,
                     const std::vector<std::int32_t>& cached) {
        RunInputs in;
        in.token_ids = ids, in.positions = positions, in.slots = slots;
        in.rows = {blocks, starts, cached, blocks.size()};
        in.cache = {keys.data(), values.data(), 1, shape, false};
        return in;
    }
};

void pieces_give_the_bits_of_the_whole() {
    Example whole, pieces;
    const std::vector<float> want = whole.run(0, 19);
    pieces.run(0, 5);
    for (std::size_t at = 5; at < 18; ++at) pieces.run(at, at + 1);
    CHECK(pieces.run(18, 19) == want);
    CHECK(std::all_of(want.begin(), want.end(), [](float x) { return std::abs(x) <= 3; }));
    Example shorter;
    CHECK(shorter.run(0, 18) != want);
}

void refuses_what_would_reach_beyond_its_arrays() {
    Example example;
    const std::vector<std::int64_t> ids{1, 2}, positions{0, 1}, slots{20, 21};
    const std::vector<std::int32_t> starts{0, 2}, cached{0};
    const RunInputs good = example.inputs(ids, positions, slots, starts, cached);
    example.program.run(good);
    const std::vector<std::int64_t> far{31, 32}, negative{-1, 0}, beyond{kVocab, 0};
    const std::vector<std::int32_t> late{30}, uneven{0, 3};
    const auto refuses = [&](auto change) {
        RunInputs bad = good;
        change(bad);
        CHECK_THROWS(example.program.run(bad), std::invalid_argument);
    };
    refuses([&](RunInputs& in) { in.slots = far; });
    refuses([&](RunInputs& in) { in.slots = negative; });
    refuses([&](RunInputs& in) { in.token_ids = beyond; });
    refuses([&](RunInputs& in) { in.positions = negative; });
    refuses([&](RunInputs& in) { in.wanted = far; });
    refuses([&](RunInputs& in) { in.rows.num_cached = late; });
    refuses([&](RunInputs& in) { in.rows.starts = uneven; });
    refuses([&](RunInputs& in) { in.cache.keys = nullptr; });
    refuses([&](RunInputs& in) { in.cache.shape.head_size = kHead + 1; });
    example.blocks[0] = 8;
    CHECK_THROWS(example.program.run(good), std::out_of_range);
}

}  // namespace

void test_program() {
    rows_are_normalised();
    angles_turn_as_far_as_they_should();
    caps_and_gates_are_near_their_definitions();
    nobody_passes_a_barrier_before_all_have_come();
    pieces_give_the_bits_of_the_whole();
    refuses_what_would_reach_beyond_its_arrays();
}

}  // namespace potstill
