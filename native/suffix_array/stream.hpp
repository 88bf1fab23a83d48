// The symbols of a store's tokens.bin: mapped, or in memory on large pages, and checked before anyone trusts
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "suffix_array/memory.hpp"
#include "suffix_array/symbols.hpp"

namespace potstill {

// What a store says of its tokens.bin.
struct StreamShape {
    std::string path;
    int symbol_bytes = 1;
    std::uint64_t num_symbols = 0;
    std::uint32_t vocab_size = 0;

    std::uint64_t num_bytes() const { return num_symbols * static_cast<std::uint64_t>(symbol_bytes); }
};

// Throws std::invalid_argument unless the width is 1 to 4 and holds vocab_size, or 256 in one byte.
void check_shape(const StreamShape& shape);

class InputFile;

class Stream {
  public:
    // In memory there is one more symbol, 0, before the first. Throws DamagedFile if the file is shorter than
    // its shape or does not end with a document's end.
    Stream(const StreamShape& shape, bool in_memory);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    const StreamShape& shape() const { return shape_; }
    // Position 0, with 8 readable bytes after the last symbol.
    const unsigned char* symbols() const { return symbols_; }

  private:
    void map(const InputFile& file);
    void load(const InputFile& file);

    StreamShape shape_;
    Memory<unsigned char> memory_;
    void* mapped_ = nullptr;
    const unsigned char* symbols_ = nullptr;
};

// [vocab_size + 1] how often each symbol stands in positions [first, stop). Throws DamagedFile at a symbol
// above vocab_size.
std::vector<std::uint64_t> count_symbols(const StreamShape& shape, const unsigned char* symbols,
                                         std::uint64_t first, std::uint64_t stop);

}  // namespace potstill
