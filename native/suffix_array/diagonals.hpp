// Long common runs of two texts, remembered by the difference of their positions. Two texts that share a run
// share it from every position inside, so a search of each position in turn would compare it over and over.
#pragma once

#include <cstdint>
#include <vector>

namespace potstill {

class Diagonals {
  public:
    // Remembers 2^bits stretches of runs at most; a new one takes the place of an old one.
    explicit Diagonals(int bits = 10) : shift_(64 - bits), runs_(std::size_t{1} << bits) {}

    // Where the common run that holds `index` of the first text ends, or `index` if none is known.
    std::uint64_t end_of_run(std::uint64_t difference, std::uint64_t index) const {
        const Run& run = runs_[slot(difference, index >> kStretchBits)];
        return run.difference == difference && run.start <= index && index < run.end ? run.end : index;
    }

    // The texts agree on [start, end) of the first and differ, or one of them ends, at `end`; start < end.
    void learn(std::uint64_t difference, std::uint64_t start, std::uint64_t end) {
        const std::uint64_t last = (end - 1) >> kStretchBits;
        for (std::uint64_t stretch = start >> kStretchBits; stretch <= last; ++stretch) {
            Run& run = runs_[slot(difference, stretch)];
            const bool is_known = run.difference == difference && run.end == end;
            // From a stretch that knows the run the later ones were told too.
            if (is_known && (run.start <= start || stretch << kStretchBits > start)) return;
            run = {difference, start, end};
        }
    }

  private:
    struct Run {
        std::uint64_t difference = 0;
        std::uint64_t start = 0;
        std::uint64_t end = 0;
    };

    // Many copies of a text have few differences of positions, but a run each: so a run is kept for every
    // stretch of the first text that it touches.
    static constexpr int kStretchBits = 11;

    std::size_t slot(std::uint64_t difference, std::uint64_t stretch) const {
        return ((difference ^ stretch * 0xC2B2AE3D27D4EB4Fu) * 0x9E3779B97F4A7C15u) >> shift_;
    }

    int shift_;
    std::vector<Run> runs_;
};

}  // namespace potstill
