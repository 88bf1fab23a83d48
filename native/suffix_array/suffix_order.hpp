// Which of two suffixes comes first: a word of first symbols decides most, and long common runs are
// remembered.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "suffix_array/diagonals.hpp"
#include "suffix_array/symbols.hpp"

namespace potstill {

// A suffix and its first symbols as one number: they compare as the numbers do. What follows a document's end
// is left out.
struct KeyedSuffix {
    std::uint64_t key = 0;
    std::uint64_t position = 0;
};

template <int Width>
struct SuffixKey {
    static constexpr int kSymbols = Width == 1 ? 8 : Width == 2 ? 4 : 2;
    static constexpr int kSymbolBits = 64 / kSymbols;
    static constexpr std::uint64_t kSymbolMask = (std::uint64_t{1} << kSymbolBits) - 1;

    static std::uint64_t of(Symbols<Width> text, std::uint64_t position) {
        if constexpr (Width > 2) {
            return std::uint64_t{text[position]} << 32 | text[position + 1];
        } else {
            std::uint64_t word;
            std::memcpy(&word, text.bytes + position * Width, 8);
            if (const std::uint64_t ends = zero_symbols(word); ends != 0)
                word &= (std::uint64_t{1} << (std::countr_zero(ends) / kSymbolBits * kSymbolBits)) - 1;
            word = __builtin_bswap64(word);
            // The bytes of a symbol keep their order.
            return Width == 1 ? word : (word & 0x00FF00FF00FF00FF) << 8 | (word >> 8 & 0x00FF00FF00FF00FF);
        }
    }

    // The top bit of each symbol that is 0, right at least up to the first of them.
    static std::uint64_t zero_symbols(std::uint64_t word) {
        constexpr std::uint64_t kLow = ~std::uint64_t{0} / kSymbolMask;
        constexpr std::uint64_t kHigh = kLow << (kSymbolBits - 1);
        return (word - kLow) & ~word & kHigh;
    }

    static Symbol first(std::uint64_t key) { return static_cast<Symbol>(key >> (64 - kSymbolBits)); }
    static Symbol second(std::uint64_t key) {
        return static_cast<Symbol>(key >> (64 - 2 * kSymbolBits) & kSymbolMask);
    }
    static bool reaches_end(std::uint64_t key) { return (key & kSymbolMask) == 0; }
};

// How far two suffixes agree is known from here on; less is as good as nothing, since it is soon found again.
inline constexpr std::uint64_t kLongAgreement = 64;

struct Precedence {
    bool is_before;
    // Symbols that both begin with, or 0 for fewer than kLongAgreement.
    std::uint64_t common;
};

// Compares suffixes of a text that ends with a document's end; for one thread.
template <int Width>
class SuffixOrder {
  public:
    using Key = SuffixKey<Width>;
    explicit SuffixOrder(Symbols<Width> text) : text_(text) {}

    Precedence compare(const KeyedSuffix& a, const KeyedSuffix& b) {
        if (a.key != b.key) return {a.key < b.key, 0};
        if (Key::reaches_end(a.key)) return {a.position < b.position, 0};
        return compare_from(a.position, b.position, Key::kSymbols);
    }

    // Their first `known` symbols are the same.
    [[gnu::noinline]] Precedence compare_from(std::uint64_t a, std::uint64_t b, std::uint64_t known) {
        const std::uint64_t k = common_length(a, b, known);
        const Symbol x = text_[a + k], y = text_[b + k];
        return {x != y ? x < y : a < b, k < kLongAgreement ? 0 : k};
    }

  private:
    // Up to where the symbols differ or both documents end.
    std::uint64_t common_length(std::uint64_t a, std::uint64_t b, std::uint64_t known) {
        std::uint64_t k = known, num_scanned = 0, end = a;
        while (end <= a + k) {
            const std::uint64_t start = k, stop = k + kLongAgreement;
            k = scan(a, b, k, stop);
            num_scanned += k - start;
            if (k < stop) break;
            end = runs_.end_of_run(b - a, a + k);
        }
        const std::uint64_t length = std::max(k, end - a);
        // What cost little to find must not take the place of what cost much.
        if (num_scanned > kLongAgreement) runs_.learn(b - a, a + known, a + k, a + length);
        return length;
    }

    std::uint64_t scan(std::uint64_t a, std::uint64_t b, std::uint64_t k, std::uint64_t stop) const {
        if constexpr (Width != 3) {
            constexpr std::uint64_t kStep = 8 / Width;
            for (; k < stop; k += kStep) {
                std::uint64_t x, y;
                std::memcpy(&x, text_.bytes + (a + k) * Width, 8);
                std::memcpy(&y, text_.bytes + (b + k) * Width, 8);
                if (x != y || has_end(x)) break;
            }
        }
        for (; k < stop; ++k) {
            const Symbol symbol = text_[a + k];
            if (symbol != text_[b + k] || symbol == 0) return k;
        }
        return stop;
    }

    static bool has_end(std::uint64_t word) {
        if constexpr (Width == 4) return (word & 0xFFFFFFFF) == 0 || word >> 32 == 0;
        return Key::zero_symbols(word) != 0;
    }

    Symbols<Width> text_;
    Diagonals runs_{18};
};

}  // namespace potstill
