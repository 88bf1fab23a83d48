#include "kernels/sampling.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "kernels/ranking.hpp"
#include "tests/check.hpp"

namespace potstill {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A copy of vectors has their numbers but not their room.
static_assert(!std::is_copy_constructible_v<Ranking<float>> && !std::is_copy_constructible_v<Ranking<bf16>>);

bf16 narrow(float x) { return {static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16)}; }

// Sort the whole row, cut, and walk the kept tokens in the order of ids.
TokenId draw_by_sorting(const std::vector<float>& logits, const RowSampling& row) {
    const std::size_t V = logits.size();
    std::vector<std::size_t> ranked(V);
    std::iota(ranked.begin(), ranked.end(), 0);
    std::stable_sort(ranked.begin(), ranked.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
    if (row.temperature == 0) return static_cast<TokenId>(ranked[0]);
    const double peak = logits[ranked[0]];
    const auto weight = [&](std::size_t token) { return std::exp((logits[token] - peak) / row.temperature); };
    if (row.top_k > 0) ranked.resize(std::min(V, static_cast<std::size_t>(row.top_k)));
    if (row.top_p < 1) {
        double mass = 0, so_far = 0;
        for (const auto token : ranked) mass += weight(token);
        std::size_t count = 0;
        while (count < ranked.size() && so_far < row.top_p * mass) so_far += weight(ranked[count++]);
        ranked.resize(count);
    }
    std::erase_if(ranked, [&](auto token) { return weight(token) < row.min_p; });
    std::sort(ranked.begin(), ranked.end());
    double mass = 0, so_far = 0;
    for (const auto token : ranked) mass += weight(token);
    for (const auto token : ranked) {
        so_far += weight(token);
        if (so_far > row.uniform * mass) return static_cast<TokenId>(token);
    }
    return static_cast<TokenId>(ranked.back());
}

template <typename T>
void compare(const std::vector<std::vector<float>>& kinds, const std::vector<T>& logits) {
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> uniform;
    const RowSampling settings[] = {
        {1, 0, 1, 0, 0}, {1, 0, 0.9F, 0, 0},    {0.7F, 50, 0.8F, 0, 0},    {1.5F, 0, 1, 0.07F, 0},
        {1, 3, 1, 0, 0}, {0, 9, 0.5F, 0.5F, 0}, {0.9F, 80, 0.9F, 0.1F, 0}, {1, 1000000, 0.001F, 0, 0}};
    for (RowSampling setting : settings) {
        for (int trial = 0; trial < 20; ++trial) {
            setting.uniform = uniform(random);
            const std::vector<RowSampling> rows(kinds.size(), setting);
            std::vector<Draw> draws(kinds.size());
            sample<T>(logits, rows, draws);
            for (std::size_t b = 0; b < kinds.size(); ++b) {
                CHECK(draws[b].token_id == draw_by_sorting(kinds[b], setting));
            }
        }
    }
}

std::vector<std::vector<float>> rows_of_many_kinds(std::size_t V) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> kinds(4, std::vector<float>(V));
    for (std::size_t i = 0; i < V; ++i) {
        kinds[0][i] = normal(random);
        kinds[1][i] = i % 7 == 0 ? 5 * normal(random) : -kInfinity;
        kinds[2][i] = i == V / 2 ? 30.0F : 0.0F;
        kinds[3][i] = 1.0F + 0.001F * normal(random);
    }
    for (auto& row : kinds) {
        for (float& x : row) x = widen(narrow(x));
    }
    return kinds;
}

void refuses_what_is_no_distribution() {
    std::vector<float> logits(6);
    std::vector<Draw> draws(2);
    std::vector<RowSampling> rows(2, RowSampling{1, 0, 1, 0, 0.5});
    const auto run = [&] { sample<float>(logits, rows, draws); };
    run();
    logits[4] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS(run(), std::invalid_argument);
    logits[4] = kInfinity;
    CHECK_THROWS(run(), std::invalid_argument);
    logits[3] = logits[4] = logits[5] = -kInfinity;
    CHECK_THROWS(run(), std::invalid_argument);
    logits.assign(6, 0.0F);
    rows[1].top_p = 0;
    CHECK_THROWS(run(), std::invalid_argument);
    rows[1] = {1, -1, 1, 0, 0.5};
    CHECK_THROWS(run(), std::invalid_argument);
    rows[1] = {1, 0, 1, 0, 1.0};
    CHECK_THROWS(run(), std::invalid_argument);
    logits.resize(5);
    CHECK_THROWS(run(), std::invalid_argument);
}

void sums_as_double_does() {
    const auto kinds = rows_of_many_kinds(1001);
    for (const auto& row : kinds) {
        double mass = 0;
        for (const float x : row) mass += std::exp(static_cast<double>(x));
        std::vector<float> out(1);
        logsumexp<float>(row, out);
        CHECK(is_close(out[0], std::log(mass), 1e-6));
    }
}

}  // namespace

void test_sampling() {
    for (const std::size_t V : {std::size_t{1}, std::size_t{255}, std::size_t{2000}}) {
        const auto kinds = rows_of_many_kinds(V);
        std::vector<float> wide;
        std::vector<bf16> half;
        for (const auto& row : kinds) {
            for (const float x : row) {
                wide.push_back(x);
                half.push_back(narrow(x));
            }
        }
        compare<float>(kinds, wide);
        compare<bf16>(kinds, half);
    }
    refuses_what_is_no_distribution();
    sums_as_double_does();
}

}  // namespace potstill
