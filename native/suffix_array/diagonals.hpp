// Long common runs of two texts, remembered by the difference of their positions. Two texts that share a run
// share it from every position inside, so a search of each position in turn would compare it over and over.
#pragma once

#include <array>
#include <cstdint>

namespace potstill {

class Diagonals {
  public:
    // Where the common run that holds `index` of the first text ends, or `index` if none is known.
    std::uint64_t end_of_run(std::uint64_t difference, std::uint64_t index) const {
        const Run& run = runs_[slot(difference)];
        return run.difference == difference && run.start <= index && index < run.end ? run.end : index;
    }

    // The texts agree on [start, end) of the first and differ, or one of them ends, at `end`.
    void learn(std::uint64_t difference, std::uint64_t start, std::uint64_t end) {
        Run& run = runs_[slot(difference)];
        const bool is_longer_known = run.difference == difference && run.end == end && run.start <= start;
        if (!is_longer_known) run = {difference, start, end};
    }

  private:
    struct Run {
        std::uint64_t difference = 0;
        std::uint64_t start = 0;
        std::uint64_t end = 0;
    };

    static constexpr int kBits = 10;

    static std::size_t slot(std::uint64_t difference) {
        return (difference * 0x9E3779B97F4A7C15u) >> (64 - kBits);
    }

    std::array<Run, std::size_t{1} << kBits> runs_{};
};

}  // namespace potstill
