// A whole segment held against what its format promises.
#pragma once

#include "suffix_array/segment.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

// Every block of every file; the stream's documents; each suffix above the one before it and all of them
// different, so that no token's is missing; the tables. Long common runs of neighbours are compared once.
// `work` counts bytes of files, then symbols, ranks and bigrams. Throws DamagedFile, or Cancelled.
void verify(const Segment& segment, Work& work);

}  // namespace potstill
