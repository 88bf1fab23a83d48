#include "suffix_array/merge.hpp"

#include <algorithm>
#include <array>

#include "suffix_array/error.hpp"
#include "suffix_array/suffix_order.hpp"
#include "suffix_array/worker_threads.hpp"

namespace potstill {
namespace {

constexpr int kMostMergeThreads = 64;
constexpr std::uint64_t kNoPosition = ~std::uint64_t{0};

// A list's next suffix, with its key; the text of those to come is on its way from memory.
template <int Width>
class ListHead {
  public:
    ListHead(Symbols<Width> text, std::uint64_t num_symbols, std::unique_ptr<PositionReader> reader)
        : text_(text), num_symbols_(num_symbols), reader_(std::move(reader)) {
        advance();
    }

    const KeyedSuffix& suffix() const { return suffix_; }
    bool is_at_end() const { return suffix_.position == kNoPosition; }

    void advance() {
        if (next_ == count_ && !fill()) {
            suffix_ = {kNoPosition, kNoPosition};
            return;
        }
        if (next_ + kAhead < count_) text_.prefetch(positions_[next_ + kAhead]);
        suffix_.position = positions_[next_++];
        suffix_.key = SuffixKey<Width>::of(text_, suffix_.position);
    }

  private:
    static constexpr std::size_t kBuffered = 1024;
    static constexpr std::size_t kAhead = 16;

    bool fill() {
        next_ = 0;
        count_ = reader_->read(positions_.data(), kBuffered);
        for (std::size_t i = 0; i < count_; ++i) {
            if (positions_[i] >= num_symbols_) [[unlikely]]
                throw DamagedFile("a part to merge", 0, "it holds a position behind the end of the stream");
        }
        for (std::size_t i = 0; i < std::min(count_, kAhead); ++i) text_.prefetch(positions_[i]);
        return count_ > 0;
    }

    Symbols<Width> text_;
    std::uint64_t num_symbols_;
    std::unique_ptr<PositionReader> reader_;
    std::array<std::uint64_t, kBuffered> positions_;
    std::size_t next_ = 0;
    std::size_t count_ = 0;
    KeyedSuffix suffix_;
};

// A tree of losers: the list whose suffix comes first, found again with log2(lists) comparisons.
template <int Width>
class Tournament {
  public:
    Tournament(Symbols<Width> text, std::vector<ListHead<Width>>& heads)
        : order_(text), heads_(heads), losers_(heads.size(), kNobody) {
        for (int i = 0; i < static_cast<int>(heads_.size()); ++i) play(i);
    }

    ListHead<Width>& winner() { return heads_[winner_]; }
    void replay() { play(winner_); }

  private:
    static constexpr int kNobody = -1;

    void play(int player) {
        for (std::size_t node = (player + heads_.size()) / 2; node > 0; node /= 2) {
            if (losers_[node] == kNobody) {
                losers_[node] = player;
                return;
            }
            if (is_before(losers_[node], player)) std::swap(losers_[node], player);
        }
        winner_ = player;
    }

    bool is_before(int i, int j) {
        const KeyedSuffix &a = heads_[i].suffix(), &b = heads_[j].suffix();
        if (a.key != b.key) return a.key < b.key;
        // A list at its end has the largest key, which a suffix may have too.
        if (a.position == kNoPosition || b.position == kNoPosition) return b.position == kNoPosition;
        return order_.is_before(a, b);
    }

    SuffixOrder<Width> order_;
    std::vector<ListHead<Width>>& heads_;
    std::vector<int> losers_;
    int winner_ = 0;
};

// The first entry whose suffix begins with `symbol` or a larger one.
template <int Width>
std::uint64_t find_symbol(Symbols<Width> text, std::uint64_t num_symbols, const SuffixList& list,
                          Symbol symbol) {
    std::uint64_t low = 0, high = list.size();
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        std::uint64_t kept = middle;
        std::optional<std::uint64_t> position;
        while (kept < high && !(position = list.at(kept))) ++kept;
        if (position && *position >= num_symbols)
            throw DamagedFile("a part to merge", 0, "it holds a position behind the end of the stream");
        if (position && text[*position] < symbol) {
            low = kept + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

template <int Width>
void merge_range(Symbols<Width> text, std::uint64_t num_symbols, const SuffixLists& lists, Symbol first,
                 Symbol stop, Symbol last, SuffixRange& range, Work& work) {
    constexpr std::uint64_t kBlock = 1 << 14;
    std::vector<ListHead<Width>> heads;
    for (const SuffixList* list : lists) {
        const std::uint64_t start = first == 1 ? 0 : find_symbol(text, num_symbols, *list, first);
        const std::uint64_t end = stop == last ? list->size() : find_symbol(text, num_symbols, *list, stop);
        heads.emplace_back(text, num_symbols, list->read(start, std::max(start, end)));
    }
    Tournament<Width> tournament(text, heads);
    std::uint64_t done = 0;
    for (ListHead<Width>* head = &tournament.winner(); !head->is_at_end(); head = &tournament.winner()) {
        const KeyedSuffix& suffix = head->suffix();
        range.append(suffix.position, SuffixKey<Width>::first(suffix.key),
                     SuffixKey<Width>::second(suffix.key));
        head->advance();
        tournament.replay();
        if (++done % kBlock == 0) work.add(kBlock);
    }
    work.add(done % kBlock);
    range.finish();
}

}  // namespace

std::uint64_t merge_suffixes(const SuffixFiles& files, const unsigned char* symbols, const SuffixLists& lists,
                             int threads, Work& work) {
    const std::vector<Symbol> cuts = files.cuts(std::clamp(threads, 1, kMostMergeThreads));
    work.add(files.shape().num_symbols - files.num_tokens());
    std::vector<std::unique_ptr<SuffixRange>> ranges;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
        ranges.push_back(std::make_unique<SuffixRange>(files, i, cuts[i], cuts[i + 1]));
    dispatch_width(files.shape().symbol_bytes, symbols, [&]<int Width>(Symbols<Width> text) {
        run_in_threads(static_cast<int>(ranges.size()), work, [&](int i) {
            if (lists.empty()) {
                ranges[i]->finish();
            } else {
                merge_range(text, files.shape().num_symbols, lists, cuts[i], cuts[i + 1], cuts.back(),
                            *ranges[i], work);
            }
        });
    });
    return files.join(ranges);
}

}  // namespace potstill
