// A program as Python holds it: with the matrices it reads, and memory for what it gives.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "runner/program.hpp"

namespace potstill {

using ViewTuple = std::tuple<std::size_t, std::size_t, std::size_t>;
using Vector = std::optional<Array<float, 1>>;
using Rows = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

inline View view_of(const ViewTuple& view) {
    return {std::get<0>(view), std::get<1>(view), std::get<2>(view)};
}

inline std::vector<float> copy_of(const Vector& numbers) {
    if (!numbers) return {};
    return {numbers->data(), numbers->data() + numbers->size()};
}

// Logits of a large vocabulary take pages that the system would clear anew at every step: the last array that
// nobody reads any more is handed out again.
class RowPool {
  public:
    std::unique_ptr<AlignedBytes> take(std::size_t size) {
        const std::lock_guard lock(mutex_);
        if (kept_ != nullptr && kept_->size() >= size) return std::move(kept_);
        kept_.reset();
        return std::make_unique<AlignedBytes>(size);
    }
    void give_back(std::unique_ptr<AlignedBytes> bytes) {
        const std::lock_guard lock(mutex_);
        if (kept_ == nullptr || kept_->size() < bytes->size()) kept_ = std::move(bytes);
    }

  private:
    std::mutex mutex_;
    std::unique_ptr<AlignedBytes> kept_;
};

struct Lent {
    std::shared_ptr<RowPool> pool;
    std::unique_ptr<AlignedBytes> bytes;
};

struct BoundProgram {
    Program program;
    std::vector<nb::object> kept;
    std::shared_ptr<RowPool> pool = std::make_shared<RowPool>();

    const PackedMatrix& keep(const nb::object& matrix) {
        if (!nb::isinstance<PackedMatrix>(matrix)) throw nb::type_error("a matrix must be a PackedMatrix");
        const auto& kept_matrix = nb::cast<const PackedMatrix&>(matrix);
        kept.push_back(matrix);
        return kept_matrix;
    }

    // Rows of floats in memory of the pool's, and the array that gives it back.
    Rows rows(std::size_t num_rows, std::size_t width) {
        const std::size_t size = std::max<std::size_t>(1, num_rows * width) * sizeof(float);
        auto lent = std::make_unique<Lent>(Lent{pool, pool->take(size)});
        auto* data = reinterpret_cast<float*>(lent->bytes->data());
        nb::capsule owner(lent.get(), [](void* pointer) noexcept {
            std::unique_ptr<Lent> done(static_cast<Lent*>(pointer));
            done->pool->give_back(std::move(done->bytes));
        });
        lent.release();
        return {data, {num_rows, width}, owner};
    }
};

void bind_building(nb::class_<BoundProgram>& program);

}  // namespace potstill
