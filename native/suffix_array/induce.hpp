// The two passes of induced sorting: from sorted suffixes to those that begin one symbol before them.
//
// An entry of the array of suffixes is a position, all bits turned (so negative) where the pass at hand has
// nothing to do with it, or 0: no suffix yet. Position 0 is a document's end and never sorted.
#pragma once

#include <cstdint>

#include "suffix_array/buckets.hpp"
#include "suffix_array/symbols.hpp"
#include "suffix_array/ticks.hpp"

namespace potstill {

template <int Width>
class Induction {
  public:
    Induction(Symbols<Width> text, std::int32_t n, std::int32_t* suffixes, Buckets& buckets, Ticks& ticks)
        : text_(text), n_(n), suffixes_(suffixes), buckets_(buckets), ticks_(ticks) {}

    // LMS positions stand at the ends of their buckets in any order, 0 elsewhere. After: the negative entries
    // are those positions, in the order of their LMS substrings.
    void sort_lms_substrings() {
        larger_than_next<false>();
        smaller_than_next<false>();
    }

    // The same with the LMS positions in the order of their suffixes. After: every token's position, in
    // order.
    void sort_suffixes() {
        larger_than_next<true>();
        smaller_than_next<true>();
    }

  private:
    static constexpr std::int32_t kBlock = 1 << 18;
    static constexpr std::int32_t kAhead = 32;

    void prefetch_text(std::int32_t entry) const { text_.prefetch(entry > 0 ? entry - 2 : 0); }

    void prefetch_bucket(std::int32_t entry) {
        if (entry > 0) {
            const std::int32_t* head = &buckets_.heads()[text_[entry - 1]];
            if constexpr (Width == 4) {
                __builtin_prefetch(head, 1);
            } else {
                __builtin_prefetch(&suffixes_[*head], 1);
            }
        }
    }

    void append(std::int32_t p) {
        const Symbol symbol = text_[p];
        suffixes_[buckets_.heads()[symbol]++] = text_[p - 1] < symbol ? ~p : p;
    }

    // Suffixes that are larger than the next one's, from the smallest up.
    template <bool IsLast>
    void larger_than_next() {
        buckets_.to_starts();
        for (std::int32_t p = 1; p < n_; ++p) {
            if (text_[p] == 0 && text_[p - 1] != 0) append(p - 1);
        }
        for (std::int32_t start = buckets_.first(); start < n_; start += kBlock) {
            const std::int32_t stop = n_ - start < kBlock ? n_ : start + kBlock;
            larger_block<IsLast>(start, stop);
            ticks_.add(stop - start);
        }
    }

    template <bool IsLast>
    void larger_block(std::int32_t start, std::int32_t stop) {
        const std::int32_t prefetch_stop = n_ - 2 * kAhead;
        for (std::int32_t i = start; i < stop; ++i) {
            if (i < prefetch_stop) {
                prefetch_text(suffixes_[i + 2 * kAhead]);
                prefetch_bucket(suffixes_[i + kAhead]);
            }
            const std::int32_t entry = suffixes_[i];
            if constexpr (IsLast) {
                suffixes_[i] = ~entry;
            } else {
                suffixes_[i] = entry < 0 ? ~entry : 0;
            }
            if (entry > 0) append(entry - 1);
        }
    }

    // Suffixes that are smaller than the next one's, from the largest down.
    template <bool IsLast>
    void smaller_than_next() {
        buckets_.to_ends();
        const std::int32_t first = buckets_.first();
        for (std::int32_t stop = n_; stop > first;) {
            const std::int32_t start = stop - first < kBlock ? first : stop - kBlock;
            smaller_block<IsLast>(start, stop);
            ticks_.add(stop - start);
            stop = start;
        }
    }

    template <bool IsLast>
    void smaller_block(std::int32_t start, std::int32_t stop) {
        for (std::int32_t i = stop - 1; i >= start; --i) {
            if (i >= 2 * kAhead) {
                prefetch_text(suffixes_[i - 2 * kAhead]);
                prefetch_bucket(suffixes_[i - kAhead]);
            }
            const std::int32_t entry = suffixes_[i];
            if (entry > 0) {
                const std::int32_t p = entry - 1;
                const Symbol symbol = text_[p];
                // A document's end goes to bucket 0, which nobody reads any more.
                suffixes_[--buckets_.heads()[symbol]] = text_[p - 1] > symbol ? ~p : p;
            } else if constexpr (IsLast) {
                suffixes_[i] = ~entry;
            }
        }
    }

    Symbols<Width> text_;
    std::int32_t n_;
    std::int32_t* suffixes_;
    Buckets& buckets_;
    Ticks& ticks_;
};

}  // namespace potstill
