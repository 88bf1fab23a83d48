// Sorted lists of suffixes of one stream, merged exactly, and written with their tables in the same pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "suffix_array/stream.hpp"
#include "suffix_array/suffix_files.hpp"
#include "suffix_array/suffix_list.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

using SuffixLists = std::vector<const SuffixList*>;

// Writes suffixes.bin and, if wanted, unigrams.bin and bigram_*.bin of `files`, the same bytes for any lists
// of the same suffixes and any `threads`. Adds shape.num_symbols units to `work`. Holds about 12 MiB a thread
// and 10 KiB a thread and list. Returns how many bigrams were written.
std::uint64_t merge_suffixes(const SuffixFiles& files, const unsigned char* symbols, const SuffixLists& lists,
                             int threads, Work& work);

}  // namespace potstill
