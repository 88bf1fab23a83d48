#include "suffix_array/suffix_sort.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "suffix_array/induce.hpp"
#include "suffix_array/memory.hpp"
#include "suffix_array/symbols.hpp"
#include "suffix_array/ticks.hpp"

namespace potstill {
namespace {

// Steps of a level: its passes, and as much again for the level below.
constexpr std::uint64_t kPasses = 7;
constexpr std::uint64_t kPassesBelow = 3;

void sort_level(const SortedText& text, std::int64_t capacity, Ticks ticks);

// One level: the text itself, or the text of names of the level above. "LMS" as in the paper, but of tokens
// only: a position whose suffix is smaller than the next one's, and the one before whose suffix is larger
// than it.
template <int Width>
class Level {
  public:
    Level(const SortedText& text, std::int64_t capacity, Ticks& ticks)
        : text_{text.symbols},
          n_(text.num_symbols),
          suffixes_(text.suffixes),
          capacity_(capacity),
          ticks_(ticks),
          buckets_(text.starts, text.num_values),
          marks_(static_cast<std::size_t>(n_) / 64 + 1) {}

    void sort() {
        mark_lms();
        buckets_.to_ends();
        for_each_lms_down([&](std::int32_t p) { suffixes_[--buckets_.heads()[text_[p]]] = p; });
        Induction<Width> induction{text_, n_, suffixes_, buckets_, ticks_};
        induction.sort_lms_substrings();
        collect_lms();
        const std::int32_t num_names = name_lms();
        if (num_names < num_lms_) {
            sort_names(num_names);
        } else {
            for (std::int32_t r = 0; r < num_lms_; ++r) suffixes_[r] &= kPosition;
            ticks_.add(kPassesBelow * n_);
        }
        place_lms();
        induction.sort_suffixes();
    }

  private:
    static constexpr std::int32_t kPosition = 0x7FFFFFFF;
    static constexpr std::int32_t kFirstOfName = ~kPosition;

    bool is_lms(std::int32_t p) const { return (marks_[p / 64] >> (p % 64)) & 1; }

    void mark_lms() {
        bool is_smaller = true;
        Symbol next = 0;
        for (std::int32_t block = (n_ - 1) / 64; block >= 0; --block) {
            std::uint64_t marks = 0;
            for (std::int32_t p = std::min(n_ - 1, block * 64 + 63); p >= block * 64; --p) {
                const Symbol symbol = text_[p];
                const bool was_smaller = is_smaller;
                is_smaller = (symbol < next) | ((symbol == next) & was_smaller);
                const bool is_mark = was_smaller & !is_smaller & (next != 0);
                marks = (marks << 1) | static_cast<std::uint64_t>(is_mark);
                next = symbol;
            }
            marks_[block] = marks;
        }
        // The loop meets position p when it knows p - 1, so each mark stands one place too low.
        std::uint64_t carried = 0;
        for (std::uint64_t& word : marks_) {
            const std::uint64_t shifted = (word << 1) | carried;
            carried = word >> 63;
            word = shifted;
            num_lms_ += std::popcount(word);
        }
        ticks_.add(n_);
    }

    template <typename Body>
    void for_each_lms_down(Body&& body) const {
        for (std::int32_t block = static_cast<std::int32_t>(marks_.size()) - 1; block >= 0; --block) {
            for (std::uint64_t word = marks_[block]; word != 0;) {
                const int bit = 63 - std::countl_zero(word);
                word ^= std::uint64_t{1} << bit;
                body(block * 64 + bit);
            }
        }
    }

    // What sort_lms_substrings left, to the front.
    void collect_lms() {
        std::int32_t count = 0;
        for (std::int32_t i = buckets_.starts()[1]; i < n_; ++i) {
            const std::int32_t entry = suffixes_[i];
            suffixes_[count] = ~entry;
            count += entry < 0;
        }
        ticks_.add(n_);
    }

    // Two LMS substrings that reach a document's end differ, since the ends do.
    bool is_same_substring(std::int32_t a, std::int32_t b) const {
        for (std::int32_t k = 0;; ++k) {
            const Symbol symbol = text_[a + k];
            if (symbol != text_[b + k] || symbol == 0) return false;
            if (k > 0 && (is_lms(a + k) || is_lms(b + k))) return is_lms(a + k) && is_lms(b + k);
        }
    }

    // Numbers the distinct substrings from 1 in order, at num_lms + p / 2 for the one at p, and flags the
    // first of each name.
    std::int32_t name_lms() {
        constexpr std::int32_t kAhead = 32;
        std::int32_t num_names = 0;
        std::int32_t before = 0;
        std::int32_t* names = suffixes_ + num_lms_;
        for (std::int32_t r = 0; r < num_lms_; ++r) {
            const std::int32_t p = suffixes_[r];
            if (r + kAhead < num_lms_) {
                text_.prefetch(suffixes_[r + kAhead]);
                __builtin_prefetch(&names[suffixes_[r + kAhead] / 2], 1);
                __builtin_prefetch(&marks_[suffixes_[r + kAhead] / 64]);
            }
            if (r == 0 || !is_same_substring(before, p)) {
                ++num_names;
                suffixes_[r] |= kFirstOfName;
            }
            names[p / 2] = num_names;
            before = p;
        }
        ticks_.add(n_);
        return num_names;
    }

    // The text of names, with an end on either side, behind everything; it is sorted in front.
    void sort_names(std::int32_t num_names) {
        const std::int32_t length = num_lms_ + 2;
        std::int32_t* names = suffixes_ + capacity_ - length;
        std::int32_t k = length;
        names[--k] = 0;
        for_each_lms_down([&](std::int32_t p) { names[--k] = suffixes_[num_lms_ + p / 2]; });
        names[0] = 0;
        std::vector<std::int32_t> starts{0};
        starts.reserve(num_names + 2);
        for (std::int32_t r = 0; r < num_lms_; ++r) {
            if (suffixes_[r] < 0) starts.push_back(r + 2);
        }
        starts.push_back(length);
        std::fill(suffixes_, suffixes_ + length, 0);
        const SortedText text{reinterpret_cast<const unsigned char*>(names),
                              4,
                              length,
                              num_names + 1,
                              starts.data(),
                              suffixes_};
        sort_level(text, capacity_ - length,
                   ticks_.part(kPassesBelow * n_, (kPasses + kPassesBelow) * length));
        k = num_lms_;
        for_each_lms_down([&](std::int32_t p) { names[--k] = p; });
        for (std::int32_t r = 0; r < num_lms_; ++r) suffixes_[r] = names[suffixes_[r + 2] - 1];
    }

    // The sorted LMS suffixes from the front to the ends of their buckets, 0 elsewhere.
    void place_lms() {
        std::int32_t gap_stop = n_;
        Symbol bucket = 0;
        for (std::int32_t r = num_lms_ - 1; r >= 0; --r) {
            const std::int32_t p = suffixes_[r];
            if (const Symbol symbol = text_[p]; symbol != bucket) {
                const std::int32_t stop = buckets_.starts()[symbol + 1];
                std::fill(suffixes_ + stop, suffixes_ + gap_stop, 0);
                gap_stop = stop;
                bucket = symbol;
            }
            suffixes_[--gap_stop] = p;
        }
        std::fill(suffixes_, suffixes_ + gap_stop, 0);
    }

    Symbols<Width> text_;
    std::int32_t n_;
    std::int32_t* suffixes_;
    std::int64_t capacity_;
    Ticks& ticks_;
    Buckets buckets_;
    std::vector<std::uint64_t> marks_;  // a bit a position: is it LMS
    std::int32_t num_lms_ = 0;
};

void sort_level(const SortedText& text, std::int64_t capacity, Ticks ticks) {
    dispatch_width(text.width, text.symbols,
                   [&]<int Width>(Symbols<Width>) { Level<Width>(text, capacity, ticks).sort(); });
    ticks.finish();
}

}  // namespace

void sort_suffixes(const SortedText& text, Work& work, std::uint64_t share) {
    const auto steps = (kPasses + kPassesBelow) * static_cast<std::uint64_t>(text.num_symbols);
    sort_level(text, std::int64_t{text.num_symbols} + kSortSlack, Ticks(work, share, steps));
}

std::uint64_t sort_bytes(std::uint64_t num_symbols, std::uint64_t num_values) {
    return num_values * 4 + num_symbols * 5;
}

}  // namespace potstill
