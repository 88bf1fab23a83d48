// A stretch of a stream, sorted by itself: what memory has room for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "suffix_array/memory.hpp"
#include "suffix_array/stream.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

// Work units of sorting, for each symbol asked for.
inline constexpr std::uint64_t kSortUnits = 3;

// The suffixes of one stretch in order.
class SortedPart {
  public:
    // symbols: [first, stop) of the text, a document's end before the first and as the last symbol, 8
    // readable bytes on either side of those. Adds `share` units to `work`.
    SortedPart(const StreamShape& shape, const unsigned char* first_symbol, std::uint64_t num_symbols,
               std::uint64_t share, Work& work);

    // Positions, less 1 from the stretch's first symbol, of the suffixes that begin with a token.
    const std::int32_t* entries() const { return suffixes_.data() + first_entry_; }
    std::uint64_t size() const { return size_; }
    // [vocab_size + 1] how often each symbol stands in the stretch.
    const std::vector<std::uint64_t>& counts() const { return counts_; }

  private:
    std::vector<std::uint64_t> counts_;
    Memory<std::int32_t> suffixes_;
    std::uint64_t first_entry_ = 0;
    std::uint64_t size_ = 0;
};

// Sorts the suffixes that start at the symbols [first, stop) of a stream, and writes their positions, less
// `first`, as u32 to the file `out`, in the order that they have in the whole stream. Where `stop` is inside
// a document, so many symbols behind it are sorted too as its last ones were seen before in the part;
// PartTooLarge if that makes more than `most_symbols` together. Adds kSortUnits a symbol of [first, stop) to
// `work`.
void sort_part(const StreamShape& shape, std::uint64_t first, std::uint64_t stop, std::uint64_t most_symbols,
               const std::string& out, Work& work);

// The most memory, in bytes, that sorting `num_symbols` symbols at once takes.
std::uint64_t part_bytes(std::uint64_t num_symbols, int symbol_bytes, std::uint32_t vocab_size);

}  // namespace potstill
