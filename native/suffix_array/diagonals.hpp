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

    // The texts agree on [start, end) of the first and differ, or one of them ends, at `end`. It had to be
    // found out for [start, known], and was known for the rest; start <= known.
    void learn(std::uint64_t difference, std::uint64_t start, std::uint64_t known, std::uint64_t end) {
        const std::uint64_t last = known >> kStretchBits;
        for (std::uint64_t stretch = start >> kStretchBits; stretch <= last; ++stretch)
            runs_[slot(difference, stretch)] = {difference, start, end};
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

    // Twice mixed: the golden ratio alone sends all Fibonacci numbers, the differences of a Fibonacci word,
    // to one place.
    std::size_t slot(std::uint64_t difference, std::uint64_t stretch) const {
        const std::uint64_t mixed = (difference ^ stretch * 0xC2B2AE3D27D4EB4Fu) * 0x9E3779B97F4A7C15u;
        return ((mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9u) >> shift_;
    }

    int shift_;
    std::vector<Run> runs_;
};

}  // namespace potstill
