#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"
#include "suffix_array/repeats.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;

using Positions = nb::ndarray<nb::numpy, std::uint64_t, nb::ndim<1>>;

constexpr const char* kDoc = R"(Where a stream of documents holds runs of `length` tokens more than once.

tokens, suffixes  uint8: tokens.bin and suffixes.bin of one segment, padding included (see the index's format)
length            >= 1, in tokens; a run does not cross a document's end, two copies may overlap

Returns four uint64 arrays of symbol positions in ascending order: starts and stops of the spans that stand in
a run found twice or more, then starts and stops of the same without the first copy of each run. ValueError
when the sizes do not fit together, DamagedFileError when a suffix points outside of the stream. Takes two
bits a symbol.)";

std::pair<Positions, Positions> columns(const std::vector<SymbolSpan>& spans) {
    std::vector<std::uint64_t> starts, stops;
    for (const SymbolSpan& span : spans) {
        starts.push_back(span.start);
        stops.push_back(span.stop);
    }
    return {to_numpy(std::move(starts)), to_numpy(std::move(stops))};
}

std::tuple<Positions, Positions, Positions, Positions> repeats(const Array<std::uint8_t, 1>& tokens,
                                                               const Array<std::uint8_t, 1>& suffixes,
                                                               int symbol_bytes, int position_bits,
                                                               std::uint64_t num_symbols,
                                                               std::uint64_t num_tokens, std::uint64_t length,
                                                               int threads) {
    const SuffixOrder order{{tokens.data(), tokens.size()},
                            {suffixes.data(), suffixes.size()},
                            symbol_bytes,
                            position_bits,
                            num_symbols,
                            num_tokens};
    Repeats found;
    {
        nb::gil_scoped_release unlocked;
        found = find_repeats(order, length, threads);
    }
    auto [starts, stops] = columns(found.repeated);
    auto [later_starts, later_stops] = columns(found.later);
    return {starts, stops, later_starts, later_stops};
}

}  // namespace

void bind_suffix_repeats(nb::module_& m) {
    m.def("find_repeats", &repeats, "tokens"_a, "suffixes"_a, nb::kw_only(), "symbol_bytes"_a,
          "position_bits"_a, "num_symbols"_a, "num_tokens"_a, "length"_a, "threads"_a = 1, kDoc);
}

}  // namespace potstill
