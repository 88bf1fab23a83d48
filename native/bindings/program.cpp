#include "bindings/program.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
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

using Ids = Array<std::int64_t, 1>;
using Numbers = Array<std::int32_t, 1>;
using Table = Array<std::int32_t, 2>;
using Cache = nb::ndarray<nb::ndim<5>, nb::c_contig, nb::device::cpu>;

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
