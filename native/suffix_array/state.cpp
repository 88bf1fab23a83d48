#include "suffix_array/state.hpp"

#include <array>
#include <utility>

#include "suffix_array/scores.hpp"
#include "suffix_array/search.hpp"

namespace potstill {

State::State(std::shared_ptr<const Reader> reader) : reader_(std::move(reader)) { reset(); }

void State::reset() {
    tokens_.clear();
    ranges_.clear();
    for (const Member& member : reader_->members()) ranges_.push_back({0, member.segment->num_tokens()});
}

void State::extend(Token id) {
    reader_->check({&id, 1});
    std::vector<Range> ranges = narrowed(id);
    if (count_of(reader_->members(), ranges) > 0) {
        tokens_.push_back(id);
        ranges_ = std::move(ranges);
    } else {
        shorten(id);
    }
}

std::vector<Range> State::narrowed(Token id) const {
    const Members members = reader_->members();
    std::vector<Range> ranges(ranges_.size());
    for (std::size_t m = 0; m < members.size(); ++m) {
        if (ranges_[m].is_empty()) continue;
        const Segment& segment = *members[m].segment;
        if (tokens_.size() == 1 && segment.has_tables()) {
            ranges[m] = look_up(segment, std::array{tokens_[0], id}).range;
        } else {
            ranges[m] = narrow(segment, {ranges_[m], tokens_.size()}, id);
        }
    }
    return ranges;
}

void State::shorten(Token id) {
    std::vector<Token> tokens = tokens_;
    tokens.push_back(id);
    const Query context(tokens);
    const std::uint64_t limit = tokens.size();
    Suffix suffix = std::move(longest_suffixes(reader_->members(), {&context, 1}, {&limit, 1}).front());
    tokens_.assign(tokens.end() - static_cast<std::ptrdiff_t>(suffix.length), tokens.end());
    ranges_ = std::move(suffix.ranges);
}

Distribution State::next(std::uint64_t budget) const {
    return reader_->to_distribution(
        continuations(context_ranges(reader_->members(), ranges_), tokens_, budget));
}

}  // namespace potstill
