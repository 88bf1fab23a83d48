#include "kernels/attention.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

constexpr const char* kSignature =
    "def paged_attention(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, block_tables: "
    "torch.Tensor, "
    "starts: torch.Tensor, num_cached: torch.Tensor, scale: float, window: int | None, out: torch.Tensor, "
    "softcap: float | None = None, bias: torch.Tensor | None = None) -> None";

constexpr const char* kDoc =
    R"(Attention of N packed queries over blocks of keys and values, written to `out`.

q, out [N, H, D] float32; keys, values [num_blocks, block_size, K, D], both float32 or both bfloat16;
block_tables [B, blocks a row], starts [B + 1] and num_cached [B] int32. Sequence b owns the queries
starts[b] .. starts[b + 1], which stand at positions num_cached[b] and on. A query sees `window` positions,
its own included, or all up to its own. Scores plus bias [H, W] float32 (W odd; its middle is distance 0 from
query to key, its ends stand for all beyond) become softcap * tanh(scores / softcap). Sums are float32, and a
query's result does not depend on what else is in the call. ValueError names the argument that does not fit, IndexError a block outside the cache.)";

void require(bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
}

void attend(const Array<float, 3>& q, const FloatArray<4>& keys, const FloatArray<4>& values,
            const Array<BlockId, 2>& block_tables, const Array<std::int32_t, 1>& starts,
            const Array<std::int32_t, 1>& num_cached, float scale, std::optional<std::int32_t> window,
            const MutableArray<float, 3>& out, std::optional<float> softcap,
            const std::optional<Array<float, 2>>& bias) {
    for (std::size_t axis = 0; axis < 4; ++axis) {
        require(keys.shape(axis) == values.shape(axis), "values must have the shape of keys");
    }
    for (std::size_t axis = 0; axis < 3; ++axis) {
        require(q.shape(axis) == out.shape(axis), "out must have the shape of q");
    }
    require(keys.dtype() == values.dtype(), "values must have the dtype of keys");
    require(q.shape(2) == keys.shape(3), "q must have the head size of keys");
    require(!bias || bias->shape(0) == q.shape(1), "bias must have a row for each head of q");
    require(!softcap || *softcap > 0, "softcap must be above 0");
    require(block_tables.shape(0) == num_cached.shape(0),
            "block_tables must have a row for each of num_cached");
    const CacheShape shape{keys.shape(0), keys.shape(1), keys.shape(2), keys.shape(3)};
    const PagedRows rows{as_span<BlockId>(block_tables), as_span<std::int32_t>(starts),
                         as_span<std::int32_t>(num_cached), block_tables.shape(1)};
    AttentionOptions options{scale, window, softcap.value_or(0)};
    if (bias) options.bias = bias->data(), options.bias_width = bias->shape(1);
    dispatch_float<4>(keys, "keys", [&]<typename T>(T) {
        nb::gil_scoped_release unlocked;
        paged_attention<T>(as_span<float>(q), as_span<T>(keys), as_span<T>(values), shape, rows, options,
                           q.shape(1), as_mutable_span<float>(out));
    });
}

}  // namespace

void bind_attention(nb::module_& m) {
    m.def("paged_attention", &attend, nb::sig(kSignature), "q"_a.noconvert(), "keys"_a.noconvert(),
          "values"_a.noconvert(), "block_tables"_a.noconvert(), "starts"_a.noconvert(),
          "num_cached"_a.noconvert(), "scale"_a, "window"_a.none(), "out"_a.noconvert(),
          "softcap"_a.none() = nb::none(), "bias"_a.noconvert().none() = nb::none(), kDoc);
}

}  // namespace potstill
