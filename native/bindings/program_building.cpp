// How Python lists the instructions of a program.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <string>

#include "bindings/kinds.hpp"
#include "bindings/program.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

KeysOf keys_of(const std::string& name) {
    if (name == "cache") return KeysOf::cache;
    if (name == "encoder") return KeysOf::encoder;
    if (name == "packed") return KeysOf::packed;
    throw std::invalid_argument("over must be cache, encoder or packed, not " + name);
}

void attend(BoundProgram& self, const ViewTuple& q, const ViewTuple& out, const std::string& over,
            std::size_t layer, std::size_t num_heads, std::size_t num_kv_heads, std::size_t head_size,
            float scale, std::optional<std::int32_t> window, std::optional<float> softcap,
            const std::optional<Array<float, 2>>& bias, const std::optional<ViewTuple>& keys,
            const std::optional<ViewTuple>& values) {
    AttendArguments given{};
    given.layer = layer;
    given.heads = {keys_of(over), num_heads, num_kv_heads, head_size};
    given.is_causal = given.heads.keys_of == KeysOf::cache;
    given.q = view_of(q), given.out = view_of(out);
    if (keys) given.keys = view_of(*keys);
    if (values) given.values = view_of(*values);
    given.scale = scale, given.window = window;
    if (softcap && !(*softcap > 0)) throw std::invalid_argument("softcap must be above 0");
    given.softcap = softcap.value_or(0);
    if (bias) {
        given.bias.assign(bias->data(), bias->data() + bias->size());
        given.bias_width = bias->shape(1);
        if (bias->shape(0) != num_heads) throw std::invalid_argument("bias must have a row for each head");
    }
    self.program.attend(std::move(given));
}

void norm(BoundProgram& self, const ViewTuple& x, const ViewTuple& out, const Array<float, 1>& weight,
          const Vector& bias, float eps, const std::string& kind, std::size_t num_heads, bool accumulate) {
    if (kind != "rms" && kind != "layer")
        throw std::invalid_argument("kind must be rms or layer, not " + kind);
    self.program.norm(view_of(x), view_of(out), copy_of(weight), copy_of(bias),
                      {kind == "rms", eps, num_heads, accumulate});
}

std::size_t add_buffer(BoundProgram& self, std::size_t width) { return self.program.add_buffer(width); }

void embed(BoundProgram& self, const nb::object& table, const ViewTuple& out, float scale,
           const std::optional<nb::object>& positions, std::size_t offset) {
    const PackedMatrix* rows = positions ? &self.keep(*positions) : nullptr;
    self.program.embed(self.keep(table), scale, rows, offset, view_of(out));
}

void linear(BoundProgram& self, const ViewTuple& x, const nb::object& matrix, const ViewTuple& out,
            const Vector& bias, const std::string& act, bool accumulate) {
    self.program.linear(view_of(x), self.keep(matrix), copy_of(bias), act_of(act), accumulate, view_of(out));
}

void rotation(BoundProgram& self, const Array<float, 1>& frequencies, const ViewTuple& table) {
    self.program.rotation(copy_of(frequencies), view_of(table));
}

void rotate(BoundProgram& self, const ViewTuple& x, std::size_t num_heads, const ViewTuple& table) {
    self.program.rotate(view_of(x), num_heads, view_of(table));
}

void store(BoundProgram& self, std::size_t layer, const ViewTuple& keys, const ViewTuple& values) {
    self.program.store(layer, view_of(keys), view_of(values));
}

void gate_views(BoundProgram& self, const ViewTuple& a, const ViewTuple& b, const ViewTuple& out,
                const std::string& act) {
    self.program.gate(view_of(a), view_of(b), act_of(act), view_of(out));
}

void add(BoundProgram& self, const ViewTuple& x, const ViewTuple& out, float scale, bool accumulate) {
    self.program.add(view_of(x), scale, accumulate, view_of(out));
}

void select(BoundProgram& self, const ViewTuple& x, const ViewTuple& out) {
    self.program.select(view_of(x), view_of(out));
}

void result(BoundProgram& self, const ViewTuple& hidden) { self.program.result(view_of(hidden)); }

void head(BoundProgram& self, const nb::object& matrix, const Vector& bias, std::optional<float> softcap) {
    self.program.head(self.keep(matrix), copy_of(bias), softcap.value_or(0));
}

#define POTSTILL_VIEW "tuple[int, int, int]"

void bind_products(nb::class_<BoundProgram>& program) {
    program.def("buffer", &add_buffer, "width"_a, "A new buffer's number.")
        .def("embed", &embed, "table"_a, "out"_a, "scale"_a = 1.0F, "positions"_a.none() = nb::none(),
             "offset"_a = 0,
             nb::sig("def embed(self, table: PackedMatrix, out: " POTSTILL_VIEW ", scale: float = 1.0, "
                     "positions: PackedMatrix | None = None, offset: int = 0) -> None"),
             "out = scale * table[token id] + positions[position + offset].")
        .def("norm", &norm, "x"_a, "out"_a, "weight"_a.noconvert(), "bias"_a.noconvert().none(), "eps"_a,
             "kind"_a, "num_heads"_a = 1, "accumulate"_a = false,
             nb::sig("def norm(self, x: " POTSTILL_VIEW ", out: " POTSTILL_VIEW ", weight: torch.Tensor, "
                     "bias: torch.Tensor | None, eps: float, kind: str, num_heads: int = 1, accumulate: bool "
                     "= False) -> None"),
             "out = each of num_heads equal parts of x normalised (kind rms or layer), or out += that.")
        .def("linear", &linear, "x"_a, "matrix"_a, "out"_a, "bias"_a.noconvert().none() = nb::none(),
             "act"_a = "none", "accumulate"_a = false,
             nb::sig(
                 "def linear(self, x: " POTSTILL_VIEW ", matrix: PackedMatrix, out: " POTSTILL_VIEW
                 ", bias: torch.Tensor | None = None, act: str = 'none', accumulate: bool = False) -> None"),
             "out = act(x W^T + bias), or out += x W^T + bias.");
}

void bind_attending(nb::class_<BoundProgram>& program) {
    program
        .def("rotation", &rotation, "frequencies"_a.noconvert(), "table"_a,
             nb::sig("def rotation(self, frequencies: torch.Tensor, table: " POTSTILL_VIEW ") -> None"),
             "table = cosines, then sines, of each token's position times frequencies [R / 2].")
        .def("rotate", &rotate, "x"_a, "num_heads"_a, "table"_a,
             "Turn the first R numbers of each head of x, in halves.")
        .def("store", &store, "layer"_a, "keys"_a, "values"_a,
             "Keys and values of each token to its slot of a layer's cache.")
        .def("attend", &attend, "q"_a, "out"_a, "over"_a, "layer"_a, "num_heads"_a, "num_kv_heads"_a,
             "head_size"_a, "scale"_a, "window"_a.none() = nb::none(), "softcap"_a.none() = nb::none(),
             "bias"_a.noconvert().none() = nb::none(), "keys"_a.none() = nb::none(),
             "values"_a.none() = nb::none(),
             nb::sig(
                 "def attend(self, q: " POTSTILL_VIEW ", out: " POTSTILL_VIEW ", over: str, layer: int, "
                 "num_heads: int, num_kv_heads: int, head_size: int, scale: float, window: int | None = "
                 "None, softcap: float | None = None, bias: torch.Tensor | None = None, keys: " POTSTILL_VIEW
                 " | None = None, values: " POTSTILL_VIEW " | None = None) -> None"),
             "Attention over the sequence's cache (causal), the blocks of its encoder, or the run's own "
             "keys.");
}

void bind_rest(nb::class_<BoundProgram>& program) {
    program.def("gate", &gate_views, "a"_a, "b"_a, "out"_a, "act"_a, "out = act(a) * b.")
        .def("add", &add, "x"_a, "out"_a, "scale"_a = 1.0F, "accumulate"_a = true,
             "out += scale * x, or out = that.")
        .def("select", &select, "x"_a, "out"_a,
             "Ends the body: out is x at the wanted tokens, and the rest is about those.")
        .def("result", &result, "hidden"_a, "Ends the tail: what runs give, and what logits are made from.")
        .def(
            "head", &head, "matrix"_a, "bias"_a.noconvert().none() = nb::none(),
            "softcap"_a.none() = nb::none(),
            nb::sig("def head(self, matrix: PackedMatrix, bias: torch.Tensor | None = None, softcap: float | "
                    "None = None) -> None"),
            "Logits of the result's rows.");
}

}  // namespace

void bind_building(nb::class_<BoundProgram>& program) {
    bind_products(program);
    bind_attending(program);
    bind_rest(program);
}

}  // namespace potstill
