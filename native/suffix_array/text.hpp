// The symbols of a mapped file, each held against its checksum before it is read, and how texts compare.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

#include "suffix_array/mapped_file.hpp"
#include "suffix_array/symbols.hpp"

namespace potstill {

using Token = std::uint32_t;

inline Symbol symbol_of(Token id) { return id + 1; }

template <int Width>
struct Text {
    Symbols<Width> symbols;
    const MappedFile* file = nullptr;
    std::uint64_t size = 0;  // in symbols

    // Beyond the end every symbol is 0, as if documents ended there.
    Symbol at(std::uint64_t position) const {
        if (position >= size) [[unlikely]]
            return 0;
        file->touch(position * Width, Width);
        return symbols[position];
    }

    void prefetch(std::uint64_t position) const { symbols.prefetch(std::min(position, size)); }
};

// The first of [from, stop) at which the text after `position` is not `ids`, or `stop`.
template <int Width>
std::uint64_t first_difference(const Symbols<Width>& symbols, std::uint64_t position, const Token* ids,
                               std::uint64_t from, std::uint64_t stop) {
    constexpr std::uint64_t kGroup = 16;
    std::uint64_t i = from;
    // Short ones end within a few symbols; from there a whole group is compared without a branch.
    for (const std::uint64_t near = std::min(stop, from + 8); i < near; ++i) {
        if (symbols[position + i] != symbol_of(ids[i])) return i;
    }
    for (; i + kGroup <= stop; i += kGroup) {
        Symbol differs = 0;
        for (std::uint64_t k = 0; k < kGroup; ++k) {
            differs |= symbols[position + i + k] ^ symbol_of(ids[i + k]);
        }
        if (differs != 0) break;
    }
    while (i < stop && symbols[position + i] == symbol_of(ids[i])) ++i;
    return i;
}

// How many of the first `length` ids the text at `position` begins with, when `from` of them are known to.
template <int Width>
std::uint64_t common_prefix(const Text<Width>& text, std::uint64_t position, const Token* ids,
                            std::uint64_t from, std::uint64_t length) {
    const std::uint64_t stop = std::min(length, text.size - position);
    std::uint64_t i = from;
    for (std::uint64_t step = 64; i < stop; step = std::min<std::uint64_t>(step * 2, 4096)) {
        const std::uint64_t end = std::min(stop, i + step);
        text.file->touch((position + i) * Width, (end - i) * Width);
        i = first_difference(text.symbols, position, ids, i, end);
        if (i < end) break;
    }
    return i;
}

// A suffix of the text beside ids: how much they share, and which comes first (equal: the suffix begins so).
struct Comparison {
    std::uint64_t shared = 0;
    std::strong_ordering order = std::strong_ordering::equal;
};

template <int Width>
Comparison compare(const Text<Width>& text, std::uint64_t position, const Token* ids, std::uint64_t from,
                   std::uint64_t length) {
    const std::uint64_t shared = common_prefix(text, position, ids, from, length);
    if (shared >= length) return {length, std::strong_ordering::equal};
    return {shared, text.at(position + shared) <=> symbol_of(ids[shared])};
}

}  // namespace potstill
