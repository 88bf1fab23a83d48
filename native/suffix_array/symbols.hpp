// Symbols of a stream at the width they have on the disk: token id + 1, and 0 where a document ends.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace potstill {

static_assert(std::endian::native == std::endian::little,
              "the files are little-endian and mapped as they are");

using Symbol = std::uint32_t;

inline constexpr std::uint64_t kPaddingBytes = 8;

// Width bytes a symbol; every load but that of 3-byte symbols is a plain one.
template <int Width>
struct Symbols {
    static_assert(Width >= 1 && Width <= 4);
    static constexpr int width = Width;
    const unsigned char* bytes = nullptr;

    Symbol operator[](std::uint64_t position) const {
        if constexpr (Width == 1) {
            return bytes[position];
        } else if constexpr (Width == 2) {
            std::uint16_t symbol;
            std::memcpy(&symbol, bytes + position * 2, 2);
            return symbol;
        } else {
            // A 3-byte symbol is read as four bytes; the file's padding makes that safe at its end.
            std::uint32_t symbol;
            std::memcpy(&symbol, bytes + position * Width, 4);
            return Width == 3 ? symbol & 0xFFFFFF : symbol;
        }
    }

    void prefetch(std::uint64_t position) const { __builtin_prefetch(bytes + position * Width); }
};

// Call `body` with the Symbols<W> of a width known at run time.
template <typename Body>
decltype(auto) dispatch_width(int width, const unsigned char* bytes, Body&& body) {
    switch (width) {
        case 1:
            return body(Symbols<1>{bytes});
        case 2:
            return body(Symbols<2>{bytes});
        case 3:
            return body(Symbols<3>{bytes});
        case 4:
            return body(Symbols<4>{bytes});
        default:
            throw std::invalid_argument("symbol_bytes must be 1, 2, 3 or 4");
    }
}

}  // namespace potstill
