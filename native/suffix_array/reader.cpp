#include "suffix_array/reader.hpp"

#include <algorithm>
#include <stdexcept>

#include "suffix_array/error.hpp"
#include "suffix_array/matches.hpp"
#include "suffix_array/parallel.hpp"

namespace potstill {
namespace {

// Below this many searches a thread costs more than it saves.
constexpr std::uint64_t kLeastPiece = 128;
constexpr std::uint64_t kMostPiece = 1024;

// Rows that the tables do not answer.
std::uint64_t num_searched(const Ragged& rows) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) count += rows[i].size() > 2;
    return count;
}

}  // namespace

Reader::Reader(const std::vector<std::shared_ptr<const Segment>>& segments, const std::vector<int>& signs) {
    if (segments.size() != signs.size()) throw std::invalid_argument("each segment needs a sign");
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i] == nullptr) throw std::invalid_argument("a segment is missing");
        if (signs[i] != 1 && signs[i] != -1) throw std::invalid_argument("a sign must be 1 or -1");
        const std::uint32_t size = segments[i]->shape().vocab_size;
        if (i > 0 && size != vocab_size_) {
            throw std::invalid_argument("the segments have vocabularies of different sizes: " +
                                        std::to_string(vocab_size_) + " and " + std::to_string(size));
        }
        vocab_size_ = size;
        members_.push_back({segments[i], signs[i]});
    }
}

void Reader::check(Query ids) const {
    Token largest = 0;
    for (const Token id : ids) largest = std::max(largest, id);
    if (ids.empty() || largest < vocab_size_) return;
    const auto wrong = std::find_if(ids.begin(), ids.end(), [&](Token id) { return id >= vocab_size_; });
    throw std::invalid_argument("id " + std::to_string(*wrong) +
                                " is outside of the vocabulary, whose ids are 0 to " +
                                std::to_string(vocab_size_ - 1));
}

void Reader::check(const Ragged& rows) const {
    const auto& starts = rows.starts;
    if (starts.empty()) throw std::invalid_argument("starts must have one entry more than there are rows");
    for (std::size_t i = 0; i < starts.size(); ++i) {
        const std::int64_t least = i == 0 ? 0 : starts[i - 1];
        if (starts[i] < least || static_cast<std::uint64_t>(starts[i]) > rows.ids.size()) {
            throw std::invalid_argument("starts must not fall, nor leave the ids: starts[" +
                                        std::to_string(i) + "] is " + std::to_string(starts[i]));
        }
    }
    check(rows.ids.subspan(static_cast<std::size_t>(starts.front()),
                           static_cast<std::size_t>(starts.back() - starts.front())));
}

std::int64_t Reader::count(Query ids) const {
    check(ids);
    std::int64_t sum = 0;
    for (const Member& member : members_) sum += member.count(find(*member.segment, ids));
    return sum;
}

std::vector<std::int64_t> Reader::count(const Ragged& rows, int threads) const {
    check(rows);
    std::vector<std::int64_t> counts(rows.size());
    const std::uint64_t piece = piece_of(rows.size(), threads, kLeastPiece, kMostPiece);
    const int useful = num_searched(rows) < 2 * kLeastPiece ? 1 : threads;
    for_pieces(rows.size(), piece, useful, [&](std::uint64_t first, std::uint64_t stop) {
        std::vector<Query> queries;
        for (std::uint64_t i = first; i < stop; ++i) queries.push_back(rows[i]);
        for (const Member& member : members_) {
            const std::vector<Range> found = find_ranges(*member.segment, queries);
            for (std::uint64_t i = first; i < stop; ++i) counts[i] += member.count(found[i - first]);
        }
    });
    return counts;
}

std::vector<Range> Reader::ranges(Query ids) const {
    check(ids);
    std::vector<Range> found;
    for (const Member& member : members_) found.push_back(find(*member.segment, ids));
    return found;
}

Distribution Reader::to_distribution(const Continuations& found) const {
    Distribution distribution;
    distribution.unresolved = found.unresolved;
    const auto add = [&](const Continuation& one, std::int64_t token) {
        distribution.tokens.push_back(token);
        distribution.counts.push_back(one.count);
    };
    distribution.tokens.reserve(found.counts.size());
    distribution.counts.reserve(found.counts.size());
    for (const Continuation& one : found.counts) {
        if (one.symbol > vocab_size_) {
            throw DamagedFile(members_.front().segment->folder(), 0,
                              "a token is outside of the vocabulary: id " + std::to_string(one.symbol - 1));
        }
        if (one.symbol != 0) add(one, static_cast<std::int64_t>(one.symbol) - 1);
    }
    if (!found.counts.empty() && found.counts.front().symbol == 0) add(found.counts.front(), vocab_size_);
    return distribution;
}

Distribution Reader::next(Query ids, std::uint64_t budget) const {
    const std::vector<Range> found = ranges(ids);
    return to_distribution(continuations(context_ranges(members_, found), ids, budget));
}

Distributions Reader::next(const Ragged& rows, int threads) const {
    check(rows);
    std::vector<Distribution> each(rows.size());
    const std::uint64_t piece = piece_of(rows.size(), threads, 8, 64);
    for_pieces(rows.size(), piece, threads, [&](std::uint64_t first, std::uint64_t stop) {
        std::vector<Query> queries;
        for (std::uint64_t i = first; i < stop; ++i) queries.push_back(rows[i]);
        const RangeTable table = find_all(members_, queries);
        for (std::uint64_t i = first; i < stop; ++i) {
            const auto contexts = context_ranges(members_, table.row(i - first));
            each[i] = to_distribution(continuations(contexts, rows[i], 0));
        }
    });
    Distributions all;
    all.row_starts.push_back(0);
    for (const Distribution& one : each) {
        all.tokens.insert(all.tokens.end(), one.tokens.begin(), one.tokens.end());
        all.counts.insert(all.counts.end(), one.counts.begin(), one.counts.end());
        all.row_starts.push_back(static_cast<std::int64_t>(all.tokens.size()));
    }
    return all;
}

std::vector<Score> Reader::score(Query text, std::uint64_t max_suffix, int threads) const {
    check(text);
    return score_text(members_, text, max_suffix, threads);
}

std::vector<Score> Reader::score_last(const Ragged& rows, int threads) const {
    check(rows);
    std::vector<Query> queries;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        queries.push_back(rows[i]);
        if (queries.back().empty()) {
            throw std::invalid_argument("row " + std::to_string(i) + " is empty: it has no token to score");
        }
    }
    return potstill::score_last(members_, queries, threads);
}

std::vector<std::uint64_t> Reader::longest_matches(Query text, int threads) const {
    check(text);
    return TextMatches(members_, text, threads).lengths();
}

std::vector<Span> Reader::spans(Query text, std::uint64_t min_length, int threads) const {
    check(text);
    const TextMatches matches(members_, text, threads);
    const std::vector<Part> parts = matches.maximal(min_length);
    const RangeTable found = matches.find(parts);
    std::vector<Span> spans;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        spans.push_back({parts[i].start, parts[i].length, count_of(members_, found.row(i))});
    }
    return spans;
}

const Segment& Reader::segment(std::size_t number) const {
    if (number >= members_.size()) {
        throw std::out_of_range("there is no segment " + std::to_string(number) + " of " +
                                std::to_string(members_.size()));
    }
    return *members_[number].segment;
}

}  // namespace potstill
