// Sorting, merging and checksums of the files of an index.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"
#include "suffix_array/build.hpp"
#include "suffix_array/crc32c.hpp"
#include "suffix_array/part.hpp"
#include "suffix_array/suffix_sort.hpp"
#include "suffix_array/work.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;
using Path = std::filesystem::path;

constexpr const char* kChecksumSignature = "def crc32c(content: numpy.typing.NDArray[numpy.uint8]) -> int";
constexpr const char* kChecksumsSignature =
    "def crc32c_blocks(path: str | os.PathLike[str]) -> numpy.typing.NDArray[numpy.uint32]";

void bind_work(nb::module_& m) {
    nb::class_<Work>(m, "Work",
                     "How far a long call has come, and the wish that it end. Safe to use from any thread.")
        .def(nb::init<>())
        .def_prop_ro("done", &Work::done, "What is done, in the unit that the call documents; never falls.")
        .def("cancel", &Work::cancel, "The call that works on it ends soon, with CancelledError.");
}

constexpr const char* kPartFileDoc =
    "A file of sort_part, opened: the suffixes of a part that begins at symbol `first` of the stream.";

constexpr const char* kPackedFileDoc =
    R"(The suffixes.bin of a segment, opened, of which some documents are kept.

num_suffixes     entries of the file, dropped ones included
kept [K, 3]      uint64, ascending: the symbols from kept[:, 0] up to kept[:, 1] of the segment stand from
                 kept[:, 2] on in the joined stream; suffixes that begin elsewhere are skipped)";

constexpr const char* kSortPartDoc =
    R"(Sort the suffixes that start at the symbols [first, stop) of a tokens.bin.

Writes their positions, less `first`, as u32 to `out`, synced, in the order that they have in the whole stream. Where
`stop` is inside a document, so many symbols behind it are sorted too as its last ones were seen before in the part;
MemoryError, with the bytes it takes at least, if that makes more than `most_symbols` together. Takes part_bytes of
all those symbols. `work` counts 3 a symbol of [first, stop).)";

constexpr const char* kMergePartsDoc =
    R"(Merge sorted suffixes of the stream `tokens` into the files in `folder`.

Writes suffixes.bin and, with tables, unigrams.bin, bigram_rows.bin, bigram_seconds.bin and bigram_ranks.bin, synced;
the same bytes for any parts and threads. Returns the number of bigrams, 0 without tables. The parts hold every
suffix of the stream once; DamagedFileError if not, or if the stream is not what the numbers say. The stream is
read into memory if `memory_bytes` hold it, else mapped. `work` counts num_symbols.)";

constexpr const char* kBuildSuffixesDoc =
    R"(Sort `folder`/tokens.bin in memory and write the files of merge_parts beside it.

Takes part_bytes of the whole stream. `work` counts 4 * num_symbols. DamagedFileError if the stream is not what the
numbers say, ValueError if it is too long to be sorted at once.)";

void bind_lists(nb::module_& m) {
    nb::class_<SuffixList>(m, "SuffixList", "Sorted suffixes that merge_parts reads.")
        .def("__len__", [](const SuffixList& list) { return list.size(); });
    nb::class_<PartFile, SuffixList>(m, "PartFile", kPartFileDoc)
        .def(
            "__init__",
            [](PartFile* self, const Path& path, std::uint64_t first) {
                new (self) PartFile(path.string(), first);
            },
            "path"_a, "first"_a);
    nb::class_<PackedFile, SuffixList>(m, "PackedFile", kPackedFileDoc)
        .def(
            "__init__",
            [](PackedFile* self, const Path& path, int position_bits, std::uint64_t num_suffixes,
               const nb::ndarray<const std::uint64_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>&
                   kept) {
                std::vector<KeptRun> runs;
                for (std::size_t i = 0; i < kept.shape(0); ++i)
                    runs.push_back({kept(i, 0), kept(i, 1), kept(i, 2)});
                new (self) PackedFile(path.string(), position_bits, num_suffixes, runs);
            },
            "path"_a, "position_bits"_a, "num_suffixes"_a, "kept"_a);
}

void bind_sorting(nb::module_& m) {
    m.attr("MAX_PART_SYMBOLS") = kMostSortedSymbols;
    m.def(
        "part_bytes", &part_bytes, "num_symbols"_a, "symbol_bytes"_a, "vocab_size"_a,
        "The most memory, in bytes, that sorting so many symbols at once takes, with the stream's symbols.");
    m.def(
        "sort_part",
        [](const Path& tokens, int symbol_bytes, std::uint64_t num_symbols, std::uint32_t vocab_size,
           std::uint64_t first, std::uint64_t stop, const Path& out, Work& work, std::uint64_t most_symbols) {
            const nb::gil_scoped_release unlocked;
            sort_part({tokens.string(), symbol_bytes, num_symbols, vocab_size}, first, stop, most_symbols,
                      out.string(), work);
        },
        "tokens"_a, nb::kw_only(), "symbol_bytes"_a, "num_symbols"_a, "vocab_size"_a, "first"_a, "stop"_a,
        "out"_a, "work"_a, "most_symbols"_a = kMostSortedSymbols, kSortPartDoc);
}

void bind_writing(nb::module_& m) {
    m.def(
        "merge_parts",
        [](const Path& tokens, int symbol_bytes, std::uint64_t num_symbols, std::uint64_t num_documents,
           std::uint32_t vocab_size, const std::vector<const SuffixList*>& parts, const Path& folder,
           bool with_tables, int threads, Work& work, std::uint64_t memory_bytes) {
            if (std::find(parts.begin(), parts.end(), nullptr) != parts.end())
                throw std::invalid_argument("parts must not hold None");
            const nb::gil_scoped_release unlocked;
            return merge_parts(folder.string(), {tokens.string(), symbol_bytes, num_symbols, vocab_size},
                               num_documents, parts, with_tables, threads, memory_bytes, work);
        },
        "tokens"_a, nb::kw_only(), "symbol_bytes"_a, "num_symbols"_a, "num_documents"_a, "vocab_size"_a,
        "parts"_a, "folder"_a, "with_tables"_a, "threads"_a, "work"_a, "memory_bytes"_a = 0, kMergePartsDoc);
    m.def(
        "build_suffixes",
        [](const Path& folder, int symbol_bytes, std::uint64_t num_symbols, std::uint64_t num_documents,
           std::uint32_t vocab_size, bool with_tables, int threads, Work& work) {
            const nb::gil_scoped_release unlocked;
            return build_suffixes(folder.string(), {"", symbol_bytes, num_symbols, vocab_size}, num_documents,
                                  with_tables, threads, work);
        },
        "folder"_a, nb::kw_only(), "symbol_bytes"_a, "num_symbols"_a, "num_documents"_a, "vocab_size"_a,
        "with_tables"_a, "threads"_a, "work"_a, kBuildSuffixesDoc);
}

}  // namespace

void bind_suffix_build(nb::module_& m) {
    bind_work(m);
    bind_lists(m);
    bind_sorting(m);
    bind_writing(m);
    m.def(
        "crc32c",
        [](const Array<std::uint8_t, 1>& content) { return crc32c(content.data(), content.size()); },
        nb::sig(kChecksumSignature), "content"_a, "CRC-32C of all bytes of an array.");
    m.def(
        "crc32c_blocks",
        [](const Path& path) {
            std::vector<std::uint32_t> sums;
            {
                nb::gil_scoped_release unlocked;
                sums = crc32c_blocks(path.string());
            }
            return to_numpy(std::move(sums));
        },
        nb::sig(kChecksumsSignature), "path"_a,
        "CRC-32C of each 64 KiB block of a file, the last one shorter unless it fits; empty for an empty "
        "file.");
}

}  // namespace potstill
