// The longest suffix of a stream of tokens that occurs in an index, kept as tokens arrive.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "suffix_array/reader.hpp"

namespace potstill {

// Holds the tokens of the suffix and its range in each segment, nothing older. Not for two threads at once.
class State {
  public:
    explicit State(std::shared_ptr<const Reader> reader);

    // The range is narrowed by one token; when nothing is left, shorter suffixes are tried. Each token is
    // dropped once, so the searches are few for each token of a stream.
    void extend(Token id);
    void reset();

    std::uint64_t suffix_len() const { return tokens_.size(); }
    // Of the suffix; of all tokens when it is empty.
    std::int64_t count() const { return count_of(reader_->members(), ranges_); }
    Distribution next(std::uint64_t budget) const;

  private:
    std::vector<Range> narrowed(Token id) const;
    void shorten(Token id);

    std::shared_ptr<const Reader> reader_;
    std::vector<Token> tokens_;
    std::vector<Range> ranges_;
};

}  // namespace potstill
