// Sorting, merging and checksums of the files of an index.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>

#include <filesystem>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"
#include "suffix_array/crc32c.hpp"
#include "suffix_array/work.hpp"

namespace potstill {
namespace {

using namespace nanobind::literals;
using Path = std::filesystem::path;

constexpr const char* kChecksumSignature =
    "def crc32c(content: numpy.typing.NDArray[numpy.uint8]) -> int";
constexpr const char* kChecksumsSignature =
    "def crc32c_blocks(path: str | os.PathLike[str]) -> numpy.typing.NDArray[numpy.uint32]";

void bind_work(nb::module_& m) {
    nb::class_<Work>(m, "Work",
                     "How far a long call has come, and the wish that it end. Safe to use from any thread.")
        .def(nb::init<>())
        .def_prop_ro("done", &Work::done, "What is done, in the unit that the call documents; never falls.")
        .def("cancel", &Work::cancel, "The call that works on it ends soon, with CancelledError.");
}

}  // namespace

void bind_suffix_build(nb::module_& m) {
    bind_work(m);
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
