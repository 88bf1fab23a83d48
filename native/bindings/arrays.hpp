// The arrays Python hands in: rank, contiguity and device are checked by nanobind from these types, and dtype
// too unless it is one of several.
#pragma once

#include <nanobind/ndarray.h>

#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/types.hpp"

template <>
struct nanobind::detail::dtype_traits<potstill::bf16> {
    static constexpr dlpack::dtype value{static_cast<std::uint8_t>(dlpack::dtype_code::Bfloat), 16, 1};
    static constexpr auto name = const_name("bfloat16");
};

namespace potstill {

namespace nb = nanobind;

template <typename T, std::size_t Rank>
using Array = nb::ndarray<const T, nb::ndim<Rank>, nb::c_contig, nb::device::cpu>;

template <typename T, std::size_t Rank>
using MutableArray = nb::ndarray<T, nb::ndim<Rank>, nb::c_contig, nb::device::cpu>;

// float32 or bfloat16, told apart by `dispatch_float`.
template <std::size_t Rank>
using FloatArray = nb::ndarray<nb::ro, nb::ndim<Rank>, nb::c_contig, nb::device::cpu>;

template <typename T, typename... Options>
std::span<const T> as_span(const nb::ndarray<Options...>& array) {
    return {static_cast<const T*>(array.data()), array.size()};
}

template <typename T, typename... Options>
std::span<T> as_mutable_span(const nb::ndarray<Options...>& array) {
    return {array.data(), array.size()};
}

// Call `body` with a T{} of the array's element type.
template <std::size_t Rank, typename Body>
auto dispatch_float(const FloatArray<Rank>& array, const char* name, Body&& body) {
    if (array.dtype() == nb::dtype<float>()) return body(float{});
    if (array.dtype() == nb::dtype<bf16>()) return body(bf16{});
    throw std::invalid_argument(std::string(name) + " must be float32 or bfloat16");
}

// A new NumPy array [size] that owns `values`.
template <typename T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> to_numpy(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* pointer) noexcept { delete static_cast<std::vector<T>*>(pointer); });
    return {kept->data(), {kept->size()}, owner};
}

}  // namespace potstill
