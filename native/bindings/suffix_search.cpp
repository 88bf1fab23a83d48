// Segments of an index and the questions they answer.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"
#include "bindings/suffix_docs.hpp"
#include "bindings/token_ids.hpp"
#include "suffix_array/places.hpp"
#include "suffix_array/reader.hpp"
#include "suffix_array/state.hpp"
#include "suffix_array/verify.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;
using Path = std::filesystem::path;

template <typename T>
using Row = nb::ndarray<nb::numpy, T, nb::ndim<1>>;
using Sums = Array<std::uint32_t, 1>;
using Starts = Array<std::int64_t, 1>;
using Ids = Array<std::uint32_t, 1>;
using Next = std::tuple<Row<std::int64_t>, Row<std::int64_t>, std::uint64_t>;
using Scores = std::tuple<Row<std::int32_t>, Row<std::int64_t>, Row<std::int64_t>, Row<bool>>;

// The call's result, worked out without the GIL.
template <typename Call>
auto unlocked(Call&& call) {
    const nb::gil_scoped_release released;
    return call();
}

Segment::Files to_records(const std::map<std::string, std::uint64_t>& files,
                          const std::map<std::string, Sums>& checksums) {
    Segment::Files records;
    for (const auto& [name, bytes] : files) {
        const auto sums = checksums.find(name);
        if (sums == checksums.end()) throw std::invalid_argument("checksums has nothing for " + name);
        const auto values = as_span<std::uint32_t>(sums->second);
        records[name] = {bytes, {values.begin(), values.end()}};
    }
    return records;
}

void open_segment(Segment* self, const Path& folder, int symbol_bytes, std::uint64_t num_symbols,
                  std::uint64_t num_tokens, std::uint64_t num_documents, std::uint32_t vocab_size,
                  int position_bits, std::optional<std::uint64_t> num_bigrams,
                  const std::map<std::string, std::uint64_t>& files,
                  const std::map<std::string, Sums>& checksums) {
    const SegmentShape shape{symbol_bytes, num_symbols,   num_tokens, num_documents,
                             vocab_size,   position_bits, num_bigrams};
    Segment::Files records = to_records(files, checksums);
    unlocked([&] { new (self) Segment(folder.string(), shape, std::move(records)); });
}

void open_reader(Reader* self, const std::vector<std::shared_ptr<Segment>>& segments,
                 const std::vector<int>& signs) {
    new (self) Reader({segments.begin(), segments.end()}, signs);
}

Next to_python(Distribution&& found) {
    const std::uint64_t unresolved = found.unresolved;
    return {to_numpy(std::move(found.tokens)), to_numpy(std::move(found.counts)), unresolved};
}

Row<bool> to_flags(const std::vector<Score>& scores) {
    bool* flags = new bool[scores.size()];
    nb::capsule owner(flags, [](void* pointer) noexcept { delete[] static_cast<bool*>(pointer); });
    for (std::size_t i = 0; i < scores.size(); ++i) flags[i] = scores[i].is_sparse;
    return {flags, {scores.size()}, owner};
}

Scores to_python(const std::vector<Score>& scores) {
    std::vector<std::int32_t> suffix_len;
    std::vector<std::int64_t> context_count, count;
    for (const Score& score : scores) {
        suffix_len.push_back(static_cast<std::int32_t>(score.suffix_len));
        context_count.push_back(score.context_count);
        count.push_back(score.count);
    }
    return {to_numpy(std::move(suffix_len)), to_numpy(std::move(context_count)), to_numpy(std::move(count)),
            to_flags(scores)};
}

Ragged to_ragged(const Ids& ids, const Starts& starts) {
    return {as_span<std::uint32_t>(ids), as_span<std::int64_t>(starts)};
}

Row<std::uint64_t> positions(const Reader& reader, std::size_t number, std::uint64_t lo, std::uint64_t hi) {
    return to_numpy(unlocked([&] { return potstill::positions(reader.segment(number), {lo, hi}); }));
}

std::pair<Row<std::uint64_t>, Row<std::uint64_t>> documents(const Reader& reader, std::size_t number,
                                                            const Array<std::uint64_t, 1>& at) {
    auto places =
        unlocked([&] { return potstill::documents(reader.segment(number), as_span<std::uint64_t>(at)); });
    return {to_numpy(std::move(places.documents)), to_numpy(std::move(places.offsets))};
}

std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, Row<std::uint32_t>> passage(
    const Reader& reader, std::size_t number, std::uint64_t rank, std::uint64_t max_tokens) {
    auto found = unlocked([&] { return potstill::passage(reader.segment(number), rank, max_tokens); });
    return {found.document, found.offset, found.num_tokens, found.first, to_numpy(std::move(found.ids))};
}

std::vector<std::tuple<std::size_t, std::uint64_t, std::uint64_t>> ranges(const Reader& reader,
                                                                          nb::handle ids) {
    const TokenIds query(ids);
    const auto found = unlocked([&] { return reader.ranges(query.span()); });
    std::vector<std::tuple<std::size_t, std::uint64_t, std::uint64_t>> rows;
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (!found[i].is_empty()) rows.emplace_back(i, found[i].lo, found[i].hi);
    }
    return rows;
}

std::tuple<Row<std::int32_t>, Row<std::int32_t>, Row<std::int64_t>> spans(const Reader& reader,
                                                                          nb::handle ids,
                                                                          std::uint64_t min_length,
                                                                          int threads) {
    const TokenIds text(ids);
    const auto found = unlocked([&] { return reader.spans(text.span(), min_length, threads); });
    std::vector<std::int32_t> starts, lengths;
    std::vector<std::int64_t> counts;
    for (const Span& span : found) {
        starts.push_back(static_cast<std::int32_t>(span.start));
        lengths.push_back(static_cast<std::int32_t>(span.length));
        counts.push_back(span.count);
    }
    return {to_numpy(std::move(starts)), to_numpy(std::move(lengths)), to_numpy(std::move(counts))};
}

Row<std::int32_t> longest_matches(const Reader& reader, nb::handle ids, int threads) {
    const TokenIds text(ids);
    const auto found = unlocked([&] { return reader.longest_matches(text.span(), threads); });
    return to_numpy(std::vector<std::int32_t>(found.begin(), found.end()));
}

std::tuple<Row<std::int64_t>, Row<std::int64_t>, Row<std::int64_t>> next_batch(const Reader& reader,
                                                                               const Ids& ids,
                                                                               const Starts& starts,
                                                                               int threads) {
    auto found = unlocked([&] { return reader.next(to_ragged(ids, starts), threads); });
    return {to_numpy(std::move(found.tokens)), to_numpy(std::move(found.counts)),
            to_numpy(std::move(found.row_starts))};
}

// A state that threads may share: they take turns.
class SharedState {
  public:
    explicit SharedState(std::shared_ptr<const Reader> reader) : state_(std::move(reader)) {}

    template <typename Call>
    auto locked(Call&& call) const {
        const nb::gil_scoped_release released;
        const std::lock_guard lock(lock_);
        return call(state_);
    }

    SharedState(const SharedState& other) : state_(other.locked([](const State& state) { return state; })) {}

  private:
    mutable std::mutex lock_;
    mutable State state_;
};

void bind_segment(nb::module_& m) {
    nb::class_<Segment>(m, "Segment", kSegmentDoc)
        .def("__init__", &open_segment, nb::sig(kSegmentSignature), "folder"_a, nb::kw_only(),
             "symbol_bytes"_a, "num_symbols"_a, "num_tokens"_a, "num_documents"_a, "vocab_size"_a,
             "position_bits"_a, "num_bigrams"_a.none(), "files"_a, "checksums"_a)
        .def(
            "verify", [](const Segment& segment, Work& work) { unlocked([&] { verify(segment, work); }); },
            "work"_a, kVerifyDoc);
}

void bind_places(nb::class_<Reader>& reader) {
    reader.def("positions", &positions, "segment"_a, "lo"_a, "hi"_a, kPositionsDoc)
        .def("documents", &documents, nb::sig(kDocumentsSignature), "segment"_a, "positions"_a.noconvert(),
             kDocumentsDoc)
        .def("passage", &passage, nb::sig(kPassageSignature), "segment"_a, "rank"_a, "max_tokens"_a,
             kPassageDoc)
        .def(
            "symbols",
            [](const Reader& self, std::size_t number, std::uint64_t first, std::uint64_t stop) {
                return to_numpy(unlocked([&] { return symbols(self.segment(number), {first, stop}); }));
            },
            "segment"_a, "first"_a, "stop"_a, kSymbolsDoc)
        .def(
            "document_bounds",
            [](const Reader& self, std::size_t number, std::uint64_t document) {
                const Range bounds =
                    unlocked([&] { return document_bounds(self.segment(number), document); });
                return std::pair(bounds.lo, bounds.hi);
            },
            "segment"_a, "document"_a, kBoundsDoc)
        .def(
            "document_row",
            [](const Reader& self, std::size_t number, std::uint64_t document) {
                const DocumentRow row =
                    unlocked([&] { return document_row(self.segment(number), document); });
                return std::tuple(row.first_symbol, row.byte_start, row.source, row.record);
            },
            "segment"_a, "document"_a, kRowDoc);
}

void bind_scores(nb::class_<Reader>& reader) {
    reader
        .def(
            "score",
            [](const Reader& self, nb::handle ids, std::optional<std::uint64_t> max_suffix, int threads) {
                const TokenIds text(ids);
                return to_python(unlocked(
                    [&] { return self.score(text.span(), max_suffix.value_or(UINT64_MAX), threads); }));
            },
            nb::sig(kScoreSignature), "ids"_a, "max_suffix"_a = nb::none(), "threads"_a = 1, kScoreDoc)
        .def(
            "infgram_batch",
            [](const Reader& self, const Ids& ids, const Starts& starts, int threads) {
                return to_python(unlocked([&] { return self.score_last(to_ragged(ids, starts), threads); }));
            },
            nb::sig(kInfgramSignature), "ids"_a.noconvert(), "starts"_a.noconvert(), "threads"_a = 1,
            kInfgramDoc)
        .def("longest_matches", &longest_matches, nb::sig(kLongestSignature), "ids"_a, "threads"_a = 1,
             kLongestDoc)
        .def("spans", &spans, nb::sig(kSpansSignature), "ids"_a, "min_length"_a = 1, "threads"_a = 1,
             kSpansDoc);
}

void bind_counts(nb::class_<Reader>& reader) {
    reader
        .def(
            "count",
            [](const Reader& self, nb::handle ids) {
                const TokenIds query(ids);
                return unlocked([&] { return self.count(query.span()); });
            },
            nb::sig(kCountSignature), "ids"_a, kCountDoc)
        .def(
            "count_batch",
            [](const Reader& self, const Ids& ids, const Starts& starts, int threads) {
                return to_numpy(unlocked([&] { return self.count(to_ragged(ids, starts), threads); }));
            },
            nb::sig(kCountBatchSignature), "ids"_a.noconvert(), "starts"_a.noconvert(), "threads"_a = 1,
            kCountBatchDoc)
        .def("ranges", &ranges, nb::sig(kRangesSignature), "ids"_a, kRangesDoc)
        .def(
            "next",
            [](const Reader& self, nb::handle ids, std::uint64_t budget) {
                const TokenIds query(ids);
                return to_python(unlocked([&] { return self.next(query.span(), budget); }));
            },
            nb::sig(kNextSignature), "ids"_a, "budget"_a = 0, kNextDoc)
        .def("next_batch", &next_batch, nb::sig(kNextBatchSignature), "ids"_a.noconvert(),
             "starts"_a.noconvert(), "threads"_a = 1, kNextBatchDoc);
}

void bind_reader(nb::module_& m) {
    nb::class_<Reader> reader(m, "Reader", kReaderDoc);
    reader.def("__init__", &open_reader, "segments"_a, "signs"_a)
        .def_prop_ro("vocab_size", &Reader::vocab_size, "Ids are below; 2^32 - 2 without segments.")
        .def(
            "state", [](const std::shared_ptr<Reader>& self) { return SharedState(self); },
            "A stream that has seen nothing yet.");
    bind_counts(reader);
    bind_scores(reader);
    bind_places(reader);
}

void bind_state(nb::module_& m) {
    nb::class_<SharedState>(m, "State", kStateDoc)
        .def(
            "extend",
            [](const SharedState& self, nb::int_ id) {
                const TokenIds one(nb::make_tuple(id));
                self.locked([&](State& state) { state.extend(one.span()[0]); });
            },
            "id"_a, kExtendDoc)
        .def(
            "reset", [](const SharedState& self) { self.locked([](State& state) { state.reset(); }); },
            "Forget every token.")
        .def(
            "copy", [](const SharedState& self) { return SharedState(self); },
            "A stream that goes on by itself.")
        .def_prop_ro(
            "suffix_len",
            [](const SharedState& self) {
                return self.locked([](State& state) { return state.suffix_len(); });
            },
            "Tokens of the longest suffix of the stream that occurs.")
        .def_prop_ro(
            "count",
            [](const SharedState& self) { return self.locked([](State& state) { return state.count(); }); },
            "How often that suffix occurs; the number of tokens when it is empty.")
        .def(
            "next",
            [](const SharedState& self, std::uint64_t budget) {
                return to_python(self.locked([&](State& state) { return state.next(budget); }));
            },
            nb::sig(kStateNextSignature), "budget"_a = 0, kStateNextDoc);
}

}  // namespace

void bind_suffix_search(nb::module_& m) {
    bind_segment(m);
    bind_reader(m);
    bind_state(m);
}

}  // namespace potstill
