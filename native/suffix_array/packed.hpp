// Whole numbers at a fixed number of bits, one after another, the lowest bit first.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace potstill {

// 57 bits and an offset of up to 7 fit one 8-byte load.
inline constexpr int kMostPackedBits = 57;

inline int packed_bits(std::uint64_t largest) {
    const int bits = std::bit_width(largest);
    return bits == 0 ? 1 : bits;
}

// Bytes of a file of `count` numbers; 8 bytes of padding keep the last load inside it.
inline std::uint64_t packed_bytes(std::uint64_t count, int bits) {
    return (count * static_cast<std::uint64_t>(bits) + 7) / 8 + 8;
}

struct Packed {
    const unsigned char* bytes = nullptr;
    int bits = 1;

    std::uint64_t byte_of(std::uint64_t index) const { return index * static_cast<std::uint64_t>(bits) / 8; }

    std::uint64_t operator[](std::uint64_t index) const {
        const std::uint64_t bit = index * static_cast<std::uint64_t>(bits);
        std::uint64_t word;
        std::memcpy(&word, bytes + bit / 8, 8);
        return (word >> (bit % 8)) & ((std::uint64_t{1} << bits) - 1);
    }

    void prefetch(std::uint64_t index) const { __builtin_prefetch(bytes + byte_of(index)); }
};

}  // namespace potstill
