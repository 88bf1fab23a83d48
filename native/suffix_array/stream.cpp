#include "suffix_array/stream.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "suffix_array/error.hpp"
#include "suffix_array/file.hpp"

namespace potstill {
namespace {

constexpr std::size_t kReadBytes = std::size_t{4} << 20;

template <int Width>
std::uint64_t first_above(Symbols<Width> symbols, std::uint64_t first, std::uint64_t stop,
                          std::uint32_t vocab_size) {
    while (first < stop && symbols[first] <= vocab_size) ++first;
    return first;
}

}  // namespace

void check_shape(const StreamShape& shape) {
    if (shape.symbol_bytes < 1 || shape.symbol_bytes > 4)
        throw std::invalid_argument("symbol_bytes must be 1, 2, 3 or 4");
    if (shape.vocab_size == 0 || shape.vocab_size > 0x7FFFFFF0)
        throw std::invalid_argument("vocab_size must be from 1 to 2**31 - 16");
    // Raw bytes fit one byte as long as none is 0xFF.
    const bool is_bytes = shape.symbol_bytes == 1 && shape.vocab_size == 256;
    if (shape.symbol_bytes < 4 && shape.vocab_size >> (8 * shape.symbol_bytes) != 0 && !is_bytes)
        throw std::invalid_argument("vocab_size does not fit symbol_bytes");
    if (shape.num_symbols >> 56 != 0) throw std::invalid_argument("num_symbols must be below 2**56");
}

Stream::Stream(const StreamShape& shape, bool in_memory) : shape_(shape) {
    check_shape(shape_);
    const InputFile file(shape_.path);
    if (const std::uint64_t size = file.size(); size < shape_.num_bytes() + kPaddingBytes)
        throw DamagedFile(shape_.path, size, "the file ends here, before its last symbol");
    if (in_memory) {
        load(file);
    } else {
        map(file);
    }
    if (shape_.num_symbols == 0) return;
    const std::uint64_t last = shape_.num_bytes() - shape_.symbol_bytes;
    if (std::any_of(symbols_ + last, symbols_ + shape_.num_bytes(),
                    [](unsigned char byte) { return byte != 0; }))
        throw DamagedFile(shape_.path, last, "the last symbol is no document's end");
}

Stream::~Stream() {
    if (mapped_ != nullptr) munmap(mapped_, shape_.num_bytes() + kPaddingBytes);
}

void Stream::map(const InputFile& file) {
    const std::uint64_t size = shape_.num_bytes() + kPaddingBytes;
    void* got = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (got == MAP_FAILED) throw_errno(shape_.path);
    mapped_ = got;
    symbols_ = static_cast<const unsigned char*>(got);
}

void Stream::load(const InputFile& file) {
    const std::uint64_t before = kPaddingBytes + shape_.symbol_bytes;
    memory_ = Memory<unsigned char>(before + shape_.num_bytes() + kPaddingBytes);
    symbols_ = memory_.data() + before;
    for (std::uint64_t offset = 0; offset < shape_.num_bytes(); offset += kReadBytes) {
        const std::uint64_t size = std::min<std::uint64_t>(kReadBytes, shape_.num_bytes() - offset);
        file.read(memory_.data() + before + offset, size, offset);
    }
}

std::vector<std::uint64_t> count_symbols(const StreamShape& shape, const unsigned char* symbols,
                                         std::uint64_t first, std::uint64_t stop) {
    return dispatch_width(shape.symbol_bytes, symbols, [&]<int Width>(Symbols<Width> text) {
        const std::uint64_t limit = Width <= 2 ? std::uint64_t{1} << (8 * Width) : shape.vocab_size + 1ull;
        std::vector<std::uint64_t> counts(std::max<std::uint64_t>(limit, shape.vocab_size + 1ull));
        std::uint64_t p = first;
        for (; p < stop; ++p) {
            const Symbol symbol = text[p];
            if (Width > 2 && symbol >= limit) break;
            ++counts[symbol];
        }
        const bool is_above = p < stop || std::any_of(
                                              counts.begin() + shape.vocab_size + 1, counts.end(),
                                              [](std::uint64_t count) { return count != 0; });
        if (is_above) {
            const std::uint64_t found = first_above(text, first, stop, shape.vocab_size);
            throw DamagedFile(shape.path, found * Width,
                              "symbol " + std::to_string(text[found]) + " is above the vocabulary of " +
                                  std::to_string(shape.vocab_size));
        }
        counts.resize(shape.vocab_size + 1ull);
        return counts;
    });
}

}  // namespace potstill
