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

std::vector<Symbol> symbols(const Segment& segment, Range positions);

Range document_bounds(const Segment& segment, std::uint64_t document);

DocumentRow document_row(const Segment& segment, std::uint64_t document);

}  // namespace potstill
