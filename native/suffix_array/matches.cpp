#include "suffix_array/matches.hpp"

#include <algorithm>

#include "suffix_array/parallel.hpp"

namespace potstill {
namespace {

// Few enough that the searches of a piece stay in the second-level cache.
constexpr std::uint64_t kLeastPiece = 128;
constexpr std::uint64_t kMostPiece = 1024;

}  // namespace

TextMatches::TextMatches(Members members, Query text, int threads)
    : members_(members), text_(text), threads_(threads) {
    for (const Member& member : members_) {
        auto& found = matches_.emplace_back(text_.size());
        const std::uint64_t piece = piece_of(text_.size(), threads_, kLeastPiece, kMostPiece);
        for_pieces(text_.size(), piece, threads_, [&](std::uint64_t first, std::uint64_t stop) {
            const auto part = find_longest(*member.segment, text_, first, stop - first);
            std::copy(part.begin(), part.end(), found.begin() + static_cast<std::ptrdiff_t>(first));
        });
    }
    combine();
}

void TextMatches::combine() {
    lengths_.assign(text_.size(), 0);
    std::vector<std::uint64_t> deleted(text_.size(), 0);
    for (std::size_t m = 0; m < members_.size(); ++m) {
        auto& longest = members_[m].sign > 0 ? lengths_ : deleted;
        for (std::size_t i = 0; i < text_.size(); ++i) {
            longest[i] = std::max(longest[i], matches_[m][i].length);
        }
    }
    // What a deleted document also holds may have occurred there alone.
    std::vector<std::uint64_t> open;
    for (std::size_t i = 0; i < text_.size(); ++i) {
        if (deleted[i] > 0 && deleted[i] >= lengths_[i]) open.push_back(i);
    }
    if (!open.empty()) shorten(open);
}

// Halves, for each of these tokens, the lengths at which the signed count may end to be positive.
void TextMatches::shorten(const std::vector<std::uint64_t>& open) {
    struct Length {
        std::uint64_t start, occurs, most;
    };
    std::vector<Length> lengths;
    for (const std::uint64_t i : open) lengths.push_back({i, 0, lengths_[i]});
    bool is_first = true;
    for (;;) {
        std::vector<Part> parts;
        std::vector<Length*> asked;
        for (Length& length : lengths) {
            if (length.occurs == length.most) continue;
            // Most often the deleted document was not the only one.
            const std::uint64_t tried =
                is_first ? length.most : length.occurs + (length.most - length.occurs + 1) / 2;
            parts.push_back({length.start, tried});
            asked.push_back(&length);
        }
        if (parts.empty()) break;
        is_first = false;
        const RangeTable found = find(parts);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (count_of(members_, found.row(i)) > 0) {
                asked[i]->occurs = parts[i].length;
            } else {
                asked[i]->most = parts[i].length - 1;
            }
        }
    }
    for (const Length& length : lengths) lengths_[length.start] = length.occurs;
}

RangeTable TextMatches::find(const std::vector<Part>& parts) const {
    RangeTable table(parts.size(), members_.size());
    const std::uint64_t piece = piece_of(parts.size(), threads_, kLeastPiece, kMostPiece);
    for_pieces(parts.size(), piece, threads_, [&](std::uint64_t first, std::uint64_t stop) {
        for (std::size_t m = 0; m < members_.size(); ++m) {
            std::vector<Query> queries;
            std::vector<std::uint64_t> ranks, numbers;
            for (std::uint64_t i = first; i < stop; ++i) {
                const auto [start, length] = parts[i];
                const Match match = start < text_.size() ? matches_[m][start] : Match{};
                if (length > match.length) continue;
                queries.push_back(text_.subspan(start, length));
                ranks.push_back(match.rank);
                numbers.push_back(i);
            }
            const auto found = find_ranges_around(*members_[m].segment, queries, ranks);
            for (std::size_t k = 0; k < found.size(); ++k) table.row(numbers[k])[m] = found[k];
        }
    });
    return table;
}

std::vector<Part> TextMatches::maximal(std::uint64_t min_length) const {
    std::vector<Part> found;
    std::uint64_t reached = 0;
    for (std::uint64_t i = 0; i < lengths_.size(); ++i) {
        const std::uint64_t stop = i + lengths_[i];
        if (stop > reached && lengths_[i] >= std::max<std::uint64_t>(min_length, 1))
            found.push_back({i, lengths_[i]});
        reached = std::max(reached, stop);
    }
    return found;
}

}  // namespace potstill
