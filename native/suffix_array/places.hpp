// Where suffixes stand in a segment: positions of ranks, documents of positions, the stream itself.
// Arguments that leave the segment throw std::out_of_range.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "suffix_array/segment.hpp"

namespace potstill {

struct Places {
    std::vector<std::uint64_t> documents;
    std::vector<std::uint64_t> offsets;  // tokens of the document before the position
};

// Of the suffixes of these ranks, in their order.
std::vector<std::uint64_t> positions(const Segment& segment, Range ranks);

Places documents(const Segment& segment, std::span<const std::uint64_t> positions);

// A suffix's place in its document, and the tokens around it.
struct Passage {
    std::uint64_t document = 0;
    std::uint64_t offset = 0;      // tokens of the document before the suffix
    std::uint64_t num_tokens = 0;  // of the document
    std::uint64_t first = 0;       // token of the document that `ids` begin with
    std::vector<Token> ids;
};

// At most `max_tokens` tokens around the suffix of a rank: half of them before it, unless the document
// begins.
Passage passage(const Segment& segment, std::uint64_t rank, std::uint64_t max_tokens);

std::vector<Symbol> symbols(const Segment& segment, Range positions);

Range document_bounds(const Segment& segment, std::uint64_t document);

DocumentRow document_row(const Segment& segment, std::uint64_t document);

}  // namespace potstill
