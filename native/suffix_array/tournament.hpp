// Sorted lists of suffixes, and the first suffix of all of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "suffix_array/error.hpp"
#include "suffix_array/suffix_list.hpp"
#include "suffix_array/suffix_order.hpp"
#include "suffix_array/symbols.hpp"

namespace potstill {

inline constexpr std::uint64_t kNoPosition = ~std::uint64_t{0};

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
//
// Each loser keeps how far it agrees with the winner of its match, if that is long. When the winner's list
// goes on to its next suffix, whoever agrees further with the suffix that left comes first (Ng and Kakehi
// 2008, "Merging String Sequences by Longest Common Prefixes"): a text that repeats itself is not compared
// over and over.
template <int Width>
class Tournament {
  public:
    Tournament(Symbols<Width> text, std::vector<ListHead<Width>>& heads)
        : order_(text), heads_(heads), losers_(heads.size()) {
        for (int i = 0; i < static_cast<int>(heads_.size()); ++i) enter(i);
    }

    ListHead<Width>& winner() { return heads_[winner_]; }

    void advance() {
        const KeyedSuffix left = heads_[winner_].suffix();
        heads_[winner_].advance();
        Player player{winner_, 0, false};
        for (std::size_t node = (winner_ + heads_.size()) / 2; node > 0; node /= 2)
            play(losers_[node], player, left);
        winner_ = player.list;
    }

  private:
    static constexpr int kNobody = -1;

    struct Loser {
        int list = kNobody;
        std::uint64_t common = 0;  // with the winner of the match
    };

    struct Player {
        int list;
        std::uint64_t common;  // with the suffix that left
        bool is_common_known;
    };

    // The first match of a list.
    void enter(int list) {
        for (std::size_t node = (list + heads_.size()) / 2; node > 0; node /= 2) {
            Loser& loser = losers_[node];
            if (loser.list == kNobody) {
                loser.list = list;
                return;
            }
            const Precedence match = compare(loser.list, list);
            if (match.is_before) std::swap(loser.list, list);
            loser.common = match.common;
        }
        winner_ = list;
    }

    // The one that comes first goes on as the player.
    void play(Loser& loser, Player& player, const KeyedSuffix& left) {
        Precedence match;
        const std::uint64_t common = loser.common;
        if (common == 0) {
            match = compare(loser.list, player.list);
        } else {
            if (!player.is_common_known) know_common(player, left);
            if (player.common == common && heads_[player.list].suffix().position != kNoPosition) {
                match = order_.compare_from(heads_[loser.list].suffix().position,
                                            heads_[player.list].suffix().position, common);
            } else {
                match = {common > player.common, std::min(common, player.common)};
            }
        }
        loser.common = match.common;
        if (!match.is_before) return;
        std::swap(loser.list, player.list);
        player.common = common;
        player.is_common_known = true;
    }

    void know_common(Player& player, const KeyedSuffix& left) {
        const KeyedSuffix& next = heads_[player.list].suffix();
        player.common = next.position == kNoPosition ? 0 : order_.compare(left, next).common;
        player.is_common_known = true;
    }

    Precedence compare(int i, int j) {
        const KeyedSuffix &a = heads_[i].suffix(), &b = heads_[j].suffix();
        if (a.key != b.key) return {a.key < b.key, 0};
        // A list at its end has the largest key, which a suffix may have too.
        if (a.position == kNoPosition || b.position == kNoPosition) return {b.position == kNoPosition, 0};
        return order_.compare(a, b);
    }

    SuffixOrder<Width> order_;
    std::vector<ListHead<Width>>& heads_;
    std::vector<Loser> losers_;
    int winner_ = 0;
};

}  // namespace potstill
