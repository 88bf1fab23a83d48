// The suffixes of a stream that fits the memory: sorted and written at once.
#pragma once

#include <cstdint>
#include <string>

#include "suffix_array/merge.hpp"
#include "suffix_array/stream.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

inline constexpr int kMostBuildThreads = 64;

// Sorts `folder`/tokens.bin and writes the suffix files beside it, the same bytes for any `threads`. Throws
// DamagedFile if the file is not what `shape` and num_documents say. Adds (kSortUnits + 1) units a symbol to
// `work`. Holds part_bytes of the whole stream. Returns the number of bigrams, 0 without tables.
std::uint64_t build_suffixes(const std::string& folder, StreamShape shape, std::uint64_t num_documents,
                             bool with_tables, int threads, Work& work);

// Merges sorted parts of the stream `shape.path` into the suffix files in `folder`. Adds a unit a symbol. The
// stream is read into memory if `memory_bytes` is enough to hold it, and mapped otherwise.
std::uint64_t merge_parts(const std::string& folder, const StreamShape& shape, std::uint64_t num_documents,
                          const SuffixLists& parts, bool with_tables, int threads, std::uint64_t memory_bytes,
                          Work& work);

}  // namespace potstill
