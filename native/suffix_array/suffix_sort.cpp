#include "suffix_array/suffix_sort.hpp"

#include <algorithm>
#include <bit>
#include <utility>
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

struct LevelText {
    const unsigned char* symbols;
    int width;
    std::int32_t n;
    std::int32_t* suffixes;
    // Of `suffixes`, at least n + kSortSlack.
    std::int64_t capacity;
};

void sort_level(const LevelText& text, Buckets& buckets, Ticks ticks);

// One level: the text itself, or the text of names of the level above. "LMS" as in the paper, but of tokens
// only: a position whose suffix is smaller than the next one's, and the one before whose suffix is larger
// than it.
template <int Width>
class Level {
  public:
    Level(const LevelText& text, Buckets& buckets, Ticks& ticks)
        : text_{text.symbols},
          n_(text.n),
          suffixes_(text.suffixes),
          capacity_(text.capacity),
          ticks_(ticks),
          buckets_(buckets),
          marks_(static_cast<std::size_t>(n_) / 64 + 1) {}

    void sort() {
        mark_lms();
        spread_lms();
        Induction<Width> induction{text_, n_, suffixes_, buckets_, ticks_};
        induction.sort_lms_substrings();
        collect_lms();
        if (name_lms() < num_lms_) {
            sort_names();
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
    static constexpr std::int32_t kAhead = 32;

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

    // To the ends of their buckets, in any order.
    void spread_lms() {
        constexpr std::size_t kBlocks = 32;
        std::vector<std::int32_t> positions(kBlocks * 64 / 2 + kAhead, 0);
        std::int32_t* heads = buckets_.heads();
        buckets_.to_ends();
        for (std::size_t block = 0; block < marks_.size(); block += kBlocks) {
            std::int32_t count = 0;
            for (std::size_t b = block; b < std::min(marks_.size(), block + kBlocks); ++b) {
                for (std::uint64_t word = marks_[b]; word != 0; word &= word - 1)
                    positions[count++] = static_cast<std::int32_t>(b * 64) + std::countr_zero(word);
            }
            for (std::int32_t i = 0; i < count; ++i) {
                __builtin_prefetch(&heads[text_[positions[i + kAhead]]], 1);
                __builtin_prefetch(&suffixes_[heads[text_[positions[i + kAhead / 2]]] - 1], 1);
                const std::int32_t p = positions[i];
                suffixes_[--heads[text_[p]]] = p;
            }
        }
    }

    // What sort_lms_substrings left, to the front.
    void collect_lms() {
        std::int32_t count = 0;
        for (std::int32_t i = buckets_.first(); i < n_; ++i) {
            const std::int32_t entry = suffixes_[i];
            suffixes_[count] = ~entry;
            count += entry < 0;
        }
        ticks_.add(n_);
    }

    // Two LMS substrings that reach a document's end differ, since the ends do.
    bool is_same_substring(std::int32_t a, std::int32_t b) const {
        // The next LMS position is at least two symbols on.
        for (std::int32_t k = 1; k < 3; ++k) {
            if (text_[a + k] != text_[b + k] || text_[a + k] == 0) return false;
        }
        if (text_[a] != text_[b]) return false;
        for (std::int32_t k = 2;; ++k) {
            const Symbol symbol = text_[a + k];
            if (symbol != text_[b + k] || symbol == 0) return false;
            if (is_lms(a + k) || is_lms(b + k)) return is_lms(a + k) && is_lms(b + k);
        }
    }

    // Flags the first of each distinct substring, and notes its rank + 2, which is its name, at num_lms + p /
    // 2 for each p that has it. Returns how many there are.
    std::int32_t name_lms() {
        std::int32_t num_names = 0;
        std::int32_t name = 0;
        std::int32_t before = 0;
        std::int32_t* names = suffixes_ + num_lms_;
        for (std::int32_t r = 0; r < num_lms_; ++r) {
            const std::int32_t p = suffixes_[r];
            if (r + kAhead < num_lms_) {
                const std::int32_t ahead = suffixes_[r + kAhead];
                text_.prefetch(ahead);
                __builtin_prefetch(&names[ahead / 2], 1);
                __builtin_prefetch(&marks_[ahead / 64]);
            }
            if (r == 0 || !is_same_substring(before, p)) {
                ++num_names;
                name = r + 2;
                suffixes_[r] |= kFirstOfName;
            }
            names[p / 2] = name;
            before = p;
        }
        ticks_.add(n_);
        return num_names;
    }

    // The text of names, with an end on either side, stands behind everything, and is sorted in front. Its
    // buckets' heads fit between unless LMS positions are many.
    void sort_names() {
        const std::int32_t length = num_lms_ + 2;
        std::int32_t* names = suffixes_ + capacity_ - length;
        gather_names(names);
        std::vector<std::uint64_t> is_start(length / 64 + 1);
        is_start[0] = 1;
        for (std::int32_t r = 0; r < num_lms_; ++r)
            is_start[(r + 2) / 64] |= std::uint64_t{suffixes_[r] < 0} << ((r + 2) % 64);
        std::fill(suffixes_, suffixes_ + length, 0);
        const bool fits = capacity_ >= 3ll * length + kSortSlack;
        const Memory<std::int32_t> elsewhere(fits ? 0 : length);
        Buckets buckets(std::move(is_start), length, fits ? names - length : elsewhere.data());
        const LevelText text{reinterpret_cast<const unsigned char*>(names), 4, length, suffixes_,
                             capacity_ - (fits ? 2ll : 1ll) * length};
        sort_level(text, buckets, ticks_.part(kPassesBelow * n_, (kPasses + kPassesBelow) * length));
        std::int32_t k = 0;
        for_each_bit(marks_, [&](std::int32_t p) { names[k++] = p; });
        for (std::int32_t r = 0; r < num_lms_; ++r) {
            if (r + kAhead < num_lms_) __builtin_prefetch(&names[suffixes_[r + 2 + kAhead] - 1]);
            suffixes_[r] = names[suffixes_[r + 2] - 1];
        }
    }

    // From where name_lms noted them; from the last to the first, since they move up within one array.
    void gather_names(std::int32_t* names) const {
        std::int32_t k = num_lms_ + 1;
        names[k] = 0;
        for (std::size_t block = marks_.size(); block-- > 0;) {
            for (std::uint64_t word = marks_[block]; word != 0;) {
                const int bit = 63 - std::countl_zero(word);
                word ^= std::uint64_t{1} << bit;
                names[--k] = suffixes_[num_lms_ + (static_cast<std::int32_t>(block * 64) + bit) / 2];
            }
        }
        names[0] = 0;
    }

    // The sorted LMS suffixes from the front to the ends of their buckets, 0 elsewhere.
    void place_lms() {
        buckets_.to_ends();
        std::int32_t gap_stop = n_;
        Symbol bucket = 0;
        for (std::int32_t r = num_lms_ - 1; r >= 0; --r) {
            if (r >= kAhead) text_.prefetch(suffixes_[r - kAhead]);
            const std::int32_t p = suffixes_[r];
            if (const Symbol symbol = text_[p]; symbol != bucket) {
                const std::int32_t stop = buckets_.heads()[symbol];
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
    Buckets& buckets_;
    std::vector<std::uint64_t> marks_;  // a bit a position: is it LMS
    std::int32_t num_lms_ = 0;
};

void sort_level(const LevelText& text, Buckets& buckets, Ticks ticks) {
    dispatch_width(text.width, text.symbols,
                   [&]<int Width>(Symbols<Width>) { Level<Width>(text, buckets, ticks).sort(); });
    ticks.finish();
}

}  // namespace

void sort_suffixes(const SortedText& text, Work& work, std::uint64_t share) {
    const auto steps = (kPasses + kPassesBelow) * static_cast<std::uint64_t>(text.num_symbols);
    std::vector<std::int32_t> heads(text.num_values);
    Buckets buckets(text.starts, text.num_values, heads.data());
    const LevelText level{text.symbols, text.width, text.num_symbols, text.suffixes,
                          std::int64_t{text.num_symbols} + kSortSlack};
    sort_level(level, buckets, Ticks(work, share, steps));
}

std::uint64_t sort_bytes(std::uint64_t num_symbols, std::uint64_t num_values) {
    // A level has at most half the symbols of the one above. Each holds two bits a symbol, and the heads of
    // its buckets where its LMS positions are more than about a third of its symbols.
    return num_values * 4 + num_symbols / 2 + 4 * num_symbols + 4096;
}

}  // namespace potstill
