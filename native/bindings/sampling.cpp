#include "kernels/sampling.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>

#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

template <typename T>
using NumpyRow = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

constexpr const char* kSampleSignature =
    "def sample(logits: torch.Tensor, temperature: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, "
    "min_p: torch.Tensor, uniform: torch.Tensor) -> tuple[numpy.typing.NDArray[numpy.int32], "
    "numpy.typing.NDArray[numpy.float32]]";

constexpr const char* kSampleDoc = R"(Draw one token for each row of logits [B, V], float32 or bfloat16.

temperature [B] float32, >= 0; 0 takes the likeliest token, of equals the lowest id, whatever the rest says
top_k       [B] int32, >= 0: so many likeliest tokens, of equals the lower ids; 0 keeps all
top_p       [B] float32, in (0, 1]: the smallest set of likeliest tokens with that mass of what top_k left
min_p       [B] float32, in [0, 1): a token's least share of the likeliest one's probability
uniform     [B] float64, in [0, 1): the first kept token, in the order of ids, at which the cumulated
            probability exceeds it is drawn

Returns token ids [B] and their log-probabilities [B] at temperature 1, before any filter. Masses are exact to
float64. ValueError names the argument and the row: a setting out of range, NaN or +inf, or only -inf.)";

constexpr const char* kLogsumexpSignature =
    "def logsumexp(logits: torch.Tensor) -> numpy.typing.NDArray[numpy.float32]";

constexpr const char* kLogsumexpDoc =
    "log(sum(exp(row))) of each row of logits [B, V], float32 or bfloat16: float32 [B], summed in float64.";

std::pair<NumpyRow<TokenId>, NumpyRow<float>> draw(const FloatArray<2>& logits,
                                                   const Array<float, 1>& temperature,
                                                   const Array<std::int32_t, 1>& top_k,
                                                   const Array<float, 1>& top_p, const Array<float, 1>& min_p,
                                                   const Array<double, 1>& uniform) {
    const std::size_t B = logits.shape(0);
    const auto check = [B](const auto& column, const char* name) {
        if (column.size() != B)
            throw std::invalid_argument(std::string(name) + " must have one entry a row of logits");
    };
    check(temperature, "temperature");
    check(top_k, "top_k");
    check(top_p, "top_p");
    check(min_p, "min_p");
    check(uniform, "uniform");
    std::vector<RowSampling> rows(B);
    for (std::size_t b = 0; b < B; ++b) {
        rows[b] = {temperature.data()[b], top_k.data()[b], top_p.data()[b], min_p.data()[b],
                   uniform.data()[b]};
    }
    std::vector<Draw> draws(B);
    dispatch_float<2>(logits, "logits", [&]<typename T>(T) {
        nb::gil_scoped_release unlocked;
        sample<T>(as_span<T>(logits), rows, draws);
    });
    std::vector<TokenId> token_ids(B);
    std::vector<float> logprobs(B);
    for (std::size_t b = 0; b < B; ++b) {
        token_ids[b] = draws[b].token_id;
        logprobs[b] = draws[b].logprob;
    }
    return {to_numpy(std::move(token_ids)), to_numpy(std::move(logprobs))};
}

NumpyRow<float> sum_rows(const FloatArray<2>& logits) {
    std::vector<float> out(logits.shape(0));
    dispatch_float<2>(logits, "logits", [&]<typename T>(T) {
        nb::gil_scoped_release unlocked;
        logsumexp<T>(as_span<T>(logits), out);
    });
    return to_numpy(std::move(out));
}

}  // namespace

void bind_sampling(nb::module_& m) {
    m.def("sample", &draw, nb::sig(kSampleSignature), "logits"_a.noconvert(), "temperature"_a, "top_k"_a,
          "top_p"_a, "min_p"_a, "uniform"_a, kSampleDoc);
    m.def("logsumexp", &sum_rows, nb::sig(kLogsumexpSignature), "logits"_a.noconvert(), kLogsumexpDoc);
}

}  // namespace potstill
