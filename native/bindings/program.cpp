#include "runner/program.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/kinds.hpp"
#include "bindings/module.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

constexpr const char* kDoc =
    R"(The forward pass of a model as a list of instructions, run by one team of threads.

Buffers are float32 tables with a row for each of a run's tokens, named by number; a view (buffer, first column,
columns) is part of one. Matrices are `PackedMatrix`, kept by the program; other weights are copied. Widths are
compared as the program is built, ids, slots and tables before a run begins: ValueError or IndexError says what
does not fit.)";

using ViewTuple = std::tuple<std::size_t, std::size_t, std::size_t>;
using Vector = std::optional<Array<float, 1>>;
using Ids = Array<std::int64_t, 1>;
using Numbers = Array<std::int32_t, 1>;
using Table = Array<std::int32_t, 2>;
using Cache = nb::ndarray<nb::ndim<5>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

View view_of(const ViewTuple& view) { return {std::get<0>(view), std::get<1>(view), std::get<2>(view)}; }

std::vector<float> copy_of(const Vector& numbers) {
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

// A run's arrays, which Python holds as long as the call lasts.
struct BoundInputs {
    RunInputs in;

    BoundInputs(const Ids& token_ids, const Ids& positions, const Ids& slots, const Numbers& starts,
                const Numbers& num_cached, const Table& block_tables) {
        in.token_ids = as_span<std::int64_t>(token_ids);
        in.positions = as_span<std::int64_t>(positions);
        in.slots = as_span<std::int64_t>(slots);
        in.rows = {as_span<BlockId>(block_tables), as_span<std::int32_t>(starts),
                   as_span<std::int32_t>(num_cached), block_tables.shape(1)};
        if (block_tables.shape(0) != num_cached.size()) {
            throw std::invalid_argument("block_tables must have a row for each of num_cached");
        }
    }

    void set_cache(const Cache& keys, const Cache& values) {
        for (std::size_t axis = 0; axis < 5; ++axis) {
            if (keys.shape(axis) != values.shape(axis)) {
                throw std::invalid_argument("values must have the shape of keys");
            }
        }
        if (keys.dtype() != values.dtype()) throw std::invalid_argument("values must have the dtype of keys");
        const bool is_bf16 = keys.dtype() == nb::dtype<bf16>();
        if (!is_bf16 && keys.dtype() != nb::dtype<float>()) {
            throw std::invalid_argument("keys must be float32 or bfloat16");
        }
        in.cache = {keys.data(),
                    values.data(),
                    keys.shape(0),
                    {keys.shape(1), keys.shape(2), keys.shape(3), keys.shape(4)},
                    is_bf16};
    }

    void set_encoder(const Table& tables, const Numbers& lengths) {
        in.encoder_tables = as_span<BlockId>(tables);
        in.encoder_lengths = as_span<std::int32_t>(lengths);
        in.encoder_blocks = tables.shape(1);
    }
};

enum class Wants { nothing, hidden, logits };

template <Wants kWants>
nb::object run(BoundProgram& self, const Ids& token_ids, const Ids& positions, const Ids& slots,
               const Numbers& starts, const Numbers& num_cached, const Table& block_tables,
               const std::optional<Cache>& keys, const std::optional<Cache>& values,
               const std::optional<Table>& encoder_tables, const std::optional<Numbers>& encoder_lengths,
               const std::optional<Ids>& wanted) {
    BoundInputs bound(token_ids, positions, slots, starts, num_cached, block_tables);
    if (keys.has_value() != values.has_value()) throw std::invalid_argument("keys and values come together");
    if (keys) bound.set_cache(*keys, *values);
    if (encoder_tables && encoder_lengths) bound.set_encoder(*encoder_tables, *encoder_lengths);
    if (wanted) bound.in.wanted = as_span<std::int64_t>(*wanted);
    if (kWants == Wants::nothing || bound.in.wanted.empty()) {
        nb::gil_scoped_release unlocked;
        bound.in.wanted = {};
        self.program.run(bound.in);
    }
    if (kWants == Wants::nothing) return nb::none();
    const bool is_hidden = kWants == Wants::hidden;
    Rows out =
        self.rows(bound.in.wanted.size(), is_hidden ? self.program.hidden_size() : self.program.vocab_size());
    if (!bound.in.wanted.empty()) {
        float* data = out.data();
        nb::gil_scoped_release unlocked;
        is_hidden ? self.program.run_hidden(bound.in, data) : self.program.run_logits(bound.in, data);
    }
    return nb::cast(out);
}

void logits(BoundProgram& self, const Array<float, 2>& hidden, const MutableArray<float, 2>& out) {
    if (hidden.shape(1) != self.program.hidden_size()) {
        throw std::invalid_argument("hidden must have the columns of the program's result");
    }
    if (out.shape(0) != hidden.shape(0) || out.shape(1) != self.program.vocab_size()) {
        throw std::invalid_argument("out must have a row for each of hidden and a column for each token");
    }
    float* data = out.data();
    nb::gil_scoped_release unlocked;
    self.program.logits(hidden.data(), hidden.shape(0), data);
}

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

void bind_building(nb::class_<BoundProgram>& program) {
    program
        .def(
            "buffer", [](BoundProgram& self, std::size_t width) { return self.program.add_buffer(width); },
            "width"_a, "A new buffer's number.")
        .def(
            "embed",
            [](BoundProgram& self, const nb::object& table, const ViewTuple& out, float scale,
               const std::optional<nb::object>& positions, std::size_t offset) {
                const PackedMatrix* rows = positions ? &self.keep(*positions) : nullptr;
                self.program.embed(self.keep(table), scale, rows, offset, view_of(out));
            },
            "table"_a, "out"_a, "scale"_a = 1.0F, "positions"_a.none() = nb::none(), "offset"_a = 0,
            nb::sig("def embed(self, table: PackedMatrix, out: tuple[int, int, int], scale: float = 1.0, "
                    "positions: PackedMatrix | None = None, offset: int = 0) -> None"),
            "out = scale * table[token id] + positions[position + offset].")
        .def("norm", &norm, "x"_a, "out"_a, "weight"_a.noconvert(), "bias"_a.noconvert().none(), "eps"_a,
             "kind"_a, "num_heads"_a = 1, "accumulate"_a = false,
             nb::sig(
                 "def norm(self, x: tuple[int, int, int], out: tuple[int, int, int], weight: torch.Tensor, "
                 "bias: torch.Tensor | None, eps: float, kind: str, num_heads: int = 1, accumulate: bool = "
                 "False) -> None"),
             "out = each of num_heads equal parts of x normalised (kind rms or layer), or out += that.")
        .def(
            "linear",
            [](BoundProgram& self, const ViewTuple& x, const nb::object& matrix, const ViewTuple& out,
               const Vector& bias, const std::string& act, bool accumulate) {
                self.program.linear(view_of(x), self.keep(matrix), copy_of(bias), act_of(act), accumulate,
                                    view_of(out));
            },
            "x"_a, "matrix"_a, "out"_a, "bias"_a.noconvert().none() = nb::none(), "act"_a = "none",
            "accumulate"_a = false,
            nb::sig(
                "def linear(self, x: tuple[int, int, int], matrix: PackedMatrix, out: tuple[int, int, int], "
                "bias: torch.Tensor | None = None, act: str = 'none', accumulate: bool = False) -> None"),
            "out = act(x W^T + bias), or out += x W^T + bias.")
        .def(
            "rotation",
            [](BoundProgram& self, const Array<float, 1>& frequencies, const ViewTuple& table) {
                self.program.rotation(copy_of(frequencies), view_of(table));
            },
            "frequencies"_a.noconvert(), "table"_a,
            nb::sig("def rotation(self, frequencies: torch.Tensor, table: tuple[int, int, int]) -> None"),
            "table = cosines, then sines, of each token's position times frequencies [R / 2].")
        .def(
            "rotate",
            [](BoundProgram& self, const ViewTuple& x, std::size_t num_heads, const ViewTuple& table) {
                self.program.rotate(view_of(x), num_heads, view_of(table));
            },
            "x"_a, "num_heads"_a, "table"_a, "Turn the first R numbers of each head of x, in halves.")
        .def(
            "store",
            [](BoundProgram& self, std::size_t layer, const ViewTuple& keys, const ViewTuple& values) {
                self.program.store(layer, view_of(keys), view_of(values));
            },
            "layer"_a, "keys"_a, "values"_a, "Keys and values of each token to its slot of a layer's cache.")
        .def(
            "attend", &attend, "q"_a, "out"_a, "over"_a, "layer"_a, "num_heads"_a, "num_kv_heads"_a,
            "head_size"_a, "scale"_a, "window"_a.none() = nb::none(), "softcap"_a.none() = nb::none(),
            "bias"_a.noconvert().none() = nb::none(), "keys"_a.none() = nb::none(),
            "values"_a.none() = nb::none(),
            nb::sig(
                "def attend(self, q: tuple[int, int, int], out: tuple[int, int, int], over: str, layer: int, "
                "num_heads: int, num_kv_heads: int, head_size: int, scale: float, window: int | None = None, "
                "softcap: float | None = None, bias: torch.Tensor | None = None, keys: tuple[int, int, int] "
                "| None = None, values: tuple[int, int, int] | None = None) -> None"),
            "Attention over the sequence's cache (causal), the blocks of its encoder, or the run's own keys.")
        .def(
            "gate",
            [](BoundProgram& self, const ViewTuple& a, const ViewTuple& b, const ViewTuple& out,
               const std::string& act) {
                self.program.gate(view_of(a), view_of(b), act_of(act), view_of(out));
            },
            "a"_a, "b"_a, "out"_a, "act"_a, "out = act(a) * b.")
        .def(
            "add",
            [](BoundProgram& self, const ViewTuple& x, const ViewTuple& out, float scale, bool accumulate) {
                self.program.add(view_of(x), scale, accumulate, view_of(out));
            },
            "x"_a, "out"_a, "scale"_a = 1.0F, "accumulate"_a = true, "out += scale * x, or out = that.")
        .def(
            "select",
            [](BoundProgram& self, const ViewTuple& x, const ViewTuple& out) {
                self.program.select(view_of(x), view_of(out));
            },
            "x"_a, "out"_a, "Ends the body: out is x at the wanted tokens, and the rest is about those.")
        .def(
            "result",
            [](BoundProgram& self, const ViewTuple& hidden) { self.program.result(view_of(hidden)); },
            "hidden"_a, "Ends the tail: what runs give, and what logits are made from.")
        .def(
            "head",
            [](BoundProgram& self, const nb::object& matrix, const Vector& bias,
               std::optional<float> softcap) {
                self.program.head(self.keep(matrix), copy_of(bias), softcap.value_or(0));
            },
            "matrix"_a, "bias"_a.noconvert().none() = nb::none(), "softcap"_a.none() = nb::none(),
            nb::sig("def head(self, matrix: PackedMatrix, bias: torch.Tensor | None = None, softcap: float | "
                    "None "
                    "= None) -> None"),
            "Logits of the result's rows.");
}

#define POTSTILL_RUN_SIGNATURE(name, result)                                                                 \
    "def " name                                                                                              \
    "(self, token_ids: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor, starts: torch.Tensor, "   \
    "num_cached: torch.Tensor, block_tables: torch.Tensor, keys: torch.Tensor | None = None, values: "       \
    "torch.Tensor | None = None, encoder_tables: torch.Tensor | None = None, encoder_lengths: torch.Tensor " \
    "| None = None, wanted: torch.Tensor | None = None) -> " result

template <Wants kWants>
void bind_run(nb::class_<BoundProgram>& program, const char* name, const char* signature, const char* doc) {
    program.def(name, &run<kWants>, "token_ids"_a.noconvert(), "positions"_a.noconvert(),
                "slots"_a.noconvert(), "starts"_a.noconvert(), "num_cached"_a.noconvert(),
                "block_tables"_a.noconvert(), "keys"_a.noconvert().none() = nb::none(),
                "values"_a.noconvert().none() = nb::none(),
                "encoder_tables"_a.noconvert().none() = nb::none(),
                "encoder_lengths"_a.noconvert().none() = nb::none(),
                "wanted"_a.noconvert().none() = nb::none(), nb::sig(signature), doc);
}

}  // namespace

void bind_program(nb::module_& m) {
    nb::class_<BoundProgram> program(m, "Program", kDoc);
    program.def(nb::init<>());
    bind_building(program);
    bind_run<Wants::nothing>(program, "store_only", POTSTILL_RUN_SIGNATURE("store_only", "None"),
                             "Run the body: keys and values are written to the cache.");
    bind_run<Wants::hidden>(program, "hidden",
                            POTSTILL_RUN_SIGNATURE("hidden", "numpy.typing.NDArray[numpy.float32]"),
                            "The result at the wanted tokens, [M, E].");
    bind_run<Wants::logits>(program, "step",
                            POTSTILL_RUN_SIGNATURE("step", "numpy.typing.NDArray[numpy.float32]"),
                            "Logits of the wanted tokens, [M, V].");
    program
        .def("logits", &logits, "hidden"_a.noconvert(), "out"_a.noconvert(),
             nb::sig("def logits(self, hidden: torch.Tensor, out: torch.Tensor) -> None"),
             "hidden [M, E] to out [M, V].")
        .def(
            "profile", [](BoundProgram& self, bool is_on) { self.program.set_profiling(is_on); }, "is_on"_a,
            "Begin to measure, or stop.")
        .def(
            "seconds", [](const BoundProgram& self) { return self.program.seconds(); },
            "By kind of instruction, since measuring began.")
        .def_prop_ro(
            "buffer_bytes", [](const BoundProgram& self) { return self.program.buffer_bytes(); },
            "Memory the buffers take, as many rows as any run had.");
}

}  // namespace potstill
