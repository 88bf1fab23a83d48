// Single symbols behind suffixes, read in groups so that their cache misses overlap.
#pragma once

#include <cstdint>
#include <span>

#include "suffix_array/segment.hpp"

namespace potstill {

// The symbol `depth` behind the beginning of the suffix of a rank.
struct Probe {
    const Segment* segment = nullptr;
    std::uint64_t rank = 0;
    std::uint64_t depth = 0;
    std::uint64_t position = 0;
    Symbol symbol = 0;
};

// Fills position and symbol of each.
void read_symbols(std::span<Probe> probes);

}  // namespace potstill
