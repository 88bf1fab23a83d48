#include "kernels/linear.hpp"

#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

#include "kernels/linear_tiles.hpp"
#include "tests/check.hpp"

namespace potstill {
namespace {

constexpr WeightKind kKinds[] = {WeightKind::float32, WeightKind::bfloat16, WeightKind::int8};

std::vector<float> normal_numbers(std::size_t count, float scale) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> numbers(count);
    for (float& x : numbers) x = scale * normal(random);
    return numbers;
}

// By threads one after the other: nothing is shared but what `prepare` wrote.
std::vector<float> multiply(const std::vector<float>& x, std::size_t num_rows, const PackedMatrix& w,
                            std::size_t num_threads, const Epilogue& epilogue = {}) {
    Activations prepared;
    prepared.reserve(num_rows, w.columns());
    std::vector<float> out(num_rows * w.rows(), 0.5F);
    for (std::size_t thread = 0; thread < num_threads; ++thread) {
        prepared.prepare(thread, num_threads, x.data(), num_rows, w.columns(), w.columns(), w.kind());
    }
    std::atomic<std::size_t> next{0};
    for (std::size_t thread = 0; thread < num_threads; ++thread) {
        linear(num_threads, next, prepared, num_rows, w, out.data(), w.rows(), epilogue);
    }
    return out;
}

double tolerance_of(WeightKind kind) { return kind == WeightKind::float32 ? 1e-5 : 0.03; }

void is_a_product(std::size_t M, std::size_t N, std::size_t K, WeightKind kind) {
    const auto x = normal_numbers(M * K, 1), weights = normal_numbers(N * K, 0.1F);
    const auto w = PackedMatrix::pack(weights.data(), N, K, kind);
    const auto got = multiply(x, M, w, 2);
    std::vector<float> row(K);
    for (std::size_t n = 0; n < N; ++n) {
        w.read_row(n, row.data());
        for (std::size_t k = 0; k < K; ++k) CHECK(is_close(row[k], weights[n * K + k], 0.002));
        for (std::size_t m = 0; m < M; ++m) {
            double want = 0, size = 0;
            for (std::size_t k = 0; k < K; ++k) {
                want += static_cast<double>(x[m * K + k]) * weights[n * K + k];
                size += std::abs(static_cast<double>(x[m * K + k]) * weights[n * K + k]);
            }
            CHECK(std::abs(got[m * N + n] - want) <= tolerance_of(kind) * size);
        }
    }
}

void rows_are_alike_whatever_is_beside_them(WeightKind kind) {
    constexpr std::size_t kRows = 19, N = 70, K = 150;
    const auto x = normal_numbers(kRows * K, 1), weights = normal_numbers(N * K, 0.1F);
    const auto w = PackedMatrix::pack(weights.data(), N, K, kind);
    const auto all = multiply(x, kRows, w, 1);
    for (std::size_t M = 1; M <= kRows; ++M) {
        const std::vector<float> last(x.end() - static_cast<std::ptrdiff_t>(M * K), x.end());
        const auto got = multiply(last, M, w, M % 4 + 1);
        CHECK(std::memcmp(got.data(), all.data() + (kRows - M) * N, M * N * sizeof(float)) == 0);
    }
}

// The best kernel of this machine beside the plain one: int8 may differ by the rounding of its last
// additions, bfloat16 by how its products are added.
void kernels_agree(WeightKind kind, double tolerance) {
    constexpr std::size_t N = kLanes, K = 333;
    const auto x = normal_numbers(kTileRows * K, 1), weights = normal_numbers(N * K, 0.1F);
    const auto w = PackedMatrix::pack(weights.data(), N, K, kind);
    Activations prepared;
    prepared.reserve(kTileRows, K);
    prepared.prepare(0, 1, x.data(), kTileRows, K, K, kind);
    alignas(64) float best[kTileRows * kLanes], plain[kTileRows * kLanes];
    for (std::size_t rows = 1; rows <= kTileRows; ++rows) {
        MatrixTile tile{prepared.data(),
                        Activations::record_bytes(K, kind),
                        rows,
                        K,
                        w.panel(0),
                        best,
                        nullptr,
                        0,
                        false};
        best_kernel(kind)(tile);
        tile.sums = plain;
        plain_kernel(kind)(tile);
        for (std::size_t i = 0; i < rows * kLanes; ++i) CHECK(is_close(best[i], plain[i], tolerance));
    }
}

void the_epilogue_follows(WeightKind kind) {
    constexpr std::size_t M = 3, N = 41, K = 8;
    const auto x = normal_numbers(M * K, 1), weights = normal_numbers(N * K, 1), bias = normal_numbers(N, 1);
    const auto w = PackedMatrix::pack(weights.data(), N, K, kind);
    const auto y = multiply(x, M, w, 1);
    for (const Act act : {Act::none, Act::silu, Act::gelu_tanh, Act::gelu, Act::relu}) {
        const auto got = multiply(x, M, w, 2, {bias.data(), act, false});
        const auto added = multiply(x, M, w, 2, {nullptr, act, true});
        for (std::size_t i = 0; i < M * N; ++i) {
            CHECK(is_close(got[i], activate(y[i] + bias[i % N], act), 1e-5));
            CHECK(is_close(added[i], 0.5 + activate(y[i], act), 1e-5));
        }
    }
}

void zeros_give_zero_and_bad_numbers_stay_in_their_row(WeightKind kind) {
    constexpr std::size_t M = 4, N = 3, K = 70;
    const std::vector<float> weights(N * K, 0.0F);
    const auto w = PackedMatrix::pack(weights.data(), N, K, kind);
    std::vector<float> x(M * K, 2.0F);
    x[1 * K + 69] = std::numeric_limits<float>::quiet_NaN();
    x[2 * K + 1] = -std::numeric_limits<float>::infinity();
    const auto got = multiply(x, M, w, 1);
    for (std::size_t n = 0; n < N; ++n) {
        CHECK(got[n] == 0 && got[3 * N + n] == 0);
        CHECK(std::isnan(got[N + n]) && std::isnan(got[2 * N + n]));
    }
    const std::vector<float> extreme = {3e38F, -3e38F, 1e-40F, 0.0F};
    const auto tiny = PackedMatrix::pack(extreme.data(), 2, 2, kind);
    for (const float y : multiply({1e-39F, 1e-38F}, 1, tiny, 1)) CHECK(std::isfinite(y));
}

void refuses_weights_that_have_no_scale() {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const std::vector<float> weights = {1, bad, 2};
        CHECK_THROWS(PackedMatrix::pack(weights.data(), 1, 3, WeightKind::int8), std::invalid_argument);
    }
}

// A matrix over the bytes of a packed one multiplies alike and outlives it; bytes that cannot be are refused.
void kept_bytes_are_the_matrix(std::size_t N, std::size_t K, WeightKind kind) {
    const auto x = normal_numbers(3 * K, 1), weights = normal_numbers(N * K, 0.1F);
    const auto packed = PackedMatrix::pack(weights.data(), N, K, kind);
    auto copy = std::make_shared<AlignedBytes>(AlignedBytes::unwritten(packed.bytes() + 64));
    std::memcpy(copy->data(), packed.content().data(), packed.bytes());
    const std::span<const std::byte> content{copy->data(), packed.bytes()};
    auto kept = PackedMatrix::kept(content, N, K, kind, copy);
    copy.reset();
    CHECK(multiply(x, 3, kept, 2) == multiply(x, 3, packed, 2));
    const auto refuses = [&](std::span<const std::byte> bytes, std::size_t rows, std::size_t columns) {
        CHECK_THROWS(PackedMatrix::kept(bytes, rows, columns, kind, nullptr), std::invalid_argument);
    };
    refuses(content.first(content.size() - 64), N, K);
    refuses(content, N + 32, K);
    refuses(content, N, K + 64);
    refuses(content, N, std::size_t{1} << 60);
    refuses({content.data() + 4, content.size()}, N, K);
}

}  // namespace

void test_linear() {
    for (const WeightKind kind : kKinds) {
        is_a_product(5, 37, 100, kind);
        is_a_product(9, 64, 64, kind);
        is_a_product(1, 1, 1, kind);
        CHECK(multiply({}, 0, PackedMatrix::pack(static_cast<const float*>(nullptr), 0, 5, kind), 2).empty());
        CHECK(multiply({}, 2, PackedMatrix::pack(static_cast<const float*>(nullptr), 3, 0, kind), 2) ==
              std::vector<float>(6));
        rows_are_alike_whatever_is_beside_them(kind);
        the_epilogue_follows(kind);
        zeros_give_zero_and_bad_numbers_stay_in_their_row(kind);
        kept_bytes_are_the_matrix(70, 130, kind);
    }
    kernels_agree(WeightKind::float32, 1e-6);
    kernels_agree(WeightKind::bfloat16, 1e-5);
    kernels_agree(WeightKind::int8, 1e-6);
    refuses_weights_that_have_no_scale();
}

}  // namespace potstill
