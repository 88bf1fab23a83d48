#include "kernels/linear.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/kinds.hpp"
#include "bindings/module.hpp"
#include "kernels/threads.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

constexpr const char* kMatrixDoc =
    R"(A weight matrix [outputs, inputs] in the order in which the kernels read it.

weight float32 or bfloat16 [rows, columns], kind "fp32", "bf16" or "int8": 8 bits a weight with a scale for
every 64 columns of a row. ValueError for another kind, and for NaN or infinity where the kind is int8.)";

constexpr const char* kLinearDoc = R"(act(x W^T + bias), float32 [M, N].

x [M, K] float32, matrix [N, K], bias [N] float32 or None; act "none", "silu", "gelu_tanh", "gelu" or "relu".
x is rounded as the matrix is: to bfloat16, or to 8 bits with a scale for every 64 columns of a row. A row's
result does not depend on the other rows nor on the number of threads, to the last bit. ValueError names the
argument that does not fit.)";

WeightKind kind_of(const std::string& name) {
    if (name == "fp32") return WeightKind::float32;
    if (name == "bf16") return WeightKind::bfloat16;
    if (name == "int8") return WeightKind::int8;
    throw std::invalid_argument("kind must be fp32, bf16 or int8, not " + name);
}

const char* name_of(WeightKind kind) {
    switch (kind) {
        case WeightKind::float32:
            return "fp32";
        case WeightKind::bfloat16:
            return "bf16";
        case WeightKind::int8:
            break;
    }
    return "int8";
}

PackedMatrix pack(const FloatArray<2>& weight, const std::string& kind) {
    const WeightKind chosen = kind_of(kind);
    return dispatch_float<2>(weight, "weight", [&]<typename T>(T) {
        nb::gil_scoped_release unlocked;
        return PackedMatrix::pack(static_cast<const T*>(weight.data()), weight.shape(0), weight.shape(1),
                                  chosen);
    });
}

PackedMatrix kept(const Array<std::uint8_t, 1>& content, std::size_t rows, std::size_t columns,
                  const std::string& kind) {
    return PackedMatrix::kept(std::as_bytes(as_span<std::uint8_t>(content)), rows, columns, kind_of(kind),
                              std::make_shared<Array<std::uint8_t, 1>>(content));
}

using Content = nb::ndarray<nb::numpy, const std::uint8_t, nb::ndim<1>>;

// `self` is the matrix as Python's own object, which the array keeps.
Content content_of(const nb::object& self) {
    const auto& matrix = nb::cast<const PackedMatrix&>(self);
    return {matrix.content().data(), {matrix.bytes()}, self};
}

using Matrix = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

Matrix multiply(const Array<float, 2>& x, const PackedMatrix& matrix,
                const std::optional<Array<float, 1>>& bias, const std::string& act) {
    const std::size_t M = x.shape(0), N = matrix.rows(), K = matrix.columns();
    if (x.shape(1) != K) throw std::invalid_argument("x must have a column for each of the matrix");
    if (bias && bias->size() != N)
        throw std::invalid_argument("bias must have one entry a row of the matrix");
    const Epilogue epilogue{bias ? bias->data() : nullptr, act_of(act), false};
    auto* out = new AlignedBytes(AlignedBytes::unwritten(std::max<std::size_t>(M * N, 1) * sizeof(float)));
    nb::capsule owner(out, [](void* pointer) noexcept { delete static_cast<AlignedBytes*>(pointer); });
    auto* numbers = reinterpret_cast<float*>(out->data());
    {
        nb::gil_scoped_release unlocked;
        linear_by_team(x.data(), M, matrix, numbers, epilogue);
    }
    return {numbers, {M, N}, owner};
}

nb::ndarray<nb::numpy, float, nb::ndim<1>> row_of(const PackedMatrix& matrix, std::size_t row) {
    if (row >= matrix.rows())
        throw std::out_of_range("the matrix has " + std::to_string(matrix.rows()) + " rows");
    std::vector<float> out(matrix.columns());
    matrix.read_row(row, out.data());
    return to_numpy(std::move(out));
}

void bind_matrix(nb::module_& m) {
    nb::class_<PackedMatrix>(m, "PackedMatrix", kMatrixDoc)
        .def(
            "__init__",
            [](PackedMatrix* self, const FloatArray<2>& weight, const std::string& kind) {
                new (self) PackedMatrix(pack(weight, kind));
            },
            "weight"_a.noconvert(), "kind"_a,
            nb::sig("def __init__(self, weight: torch.Tensor, kind: str) -> None"))
        .def_static(
            "kept", &kept, "content"_a.noconvert(), "rows"_a, "columns"_a, "kind"_a,
            nb::sig("def kept(content: numpy.typing.NDArray[numpy.uint8], rows: int, columns: int, "
                    "kind: str) -> PackedMatrix"),
            "A matrix over the content of one that was packed before, which is kept in place and must "
            "not change. ValueError where its size does not fit or it begins at no multiple of 64.")
        .def("content", &content_of, nb::sig("def content(self) -> numpy.typing.NDArray[numpy.uint8]"),
             "The packed bytes, without a copy; not to be written to.")
        .def_prop_ro("rows", &PackedMatrix::rows)
        .def_prop_ro("columns", &PackedMatrix::columns)
        .def_prop_ro("kind", [](const PackedMatrix& matrix) { return name_of(matrix.kind()); })
        .def_prop_ro("bytes", &PackedMatrix::bytes, "What it takes in memory.")
        .def("row", &row_of, "index"_a,
             nb::sig("def row(self, index: int) -> numpy.typing.NDArray[numpy.float32]"),
             "A row as the kernels see it, [columns]; IndexError where there is none.");
}

}  // namespace

void bind_linear(nb::module_& m) {
    bind_matrix(m);
    m.def(
        "linear", &multiply, "x"_a.noconvert(), "matrix"_a, "bias"_a.none() = nb::none(), "act"_a = "none",
        nb::sig(
            "def linear(x: torch.Tensor, matrix: PackedMatrix, bias: torch.Tensor | None = None, act: str = "
            "'none') -> numpy.typing.NDArray[numpy.float32]"),
        kLinearDoc);
}

}  // namespace potstill
