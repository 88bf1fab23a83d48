// A share of a Work, filled by steps whose number is known before.
#pragma once

#include <algorithm>
#include <cstdint>

#include "suffix_array/work.hpp"

namespace potstill {

class Ticks {
  public:
    // `share` units of `work` stand for `total` steps.
    Ticks(Work& work, std::uint64_t share, std::uint64_t total)
        : work_(work), share_(share), total_(std::max<std::uint64_t>(total, 1)) {}

    void add(std::uint64_t steps) {
        steps_ = std::min(steps_ + steps, total_);
        const auto reached = static_cast<std::uint64_t>(
            static_cast<double>(share_) * (static_cast<double>(steps_) / static_cast<double>(total_)));
        const std::uint64_t now = std::clamp(reached, reported_, share_);
        work_.add(now - reported_);
        reported_ = now;
    }

    // The share is full, whatever was not needed.
    void finish() {
        work_.add(share_ - reported_);
        reported_ = share_;
        steps_ = total_;
    }

    // A part of these steps as a share of its own.
    Ticks part(std::uint64_t steps, std::uint64_t total) {
        const auto units = static_cast<std::uint64_t>(
            static_cast<double>(share_) * (static_cast<double>(steps) / static_cast<double>(total_)));
        const std::uint64_t given = std::min(units, share_ - reported_);
        steps_ = std::min(steps_ + steps, total_);
        reported_ += given;
        return {work_, given, total};
    }

  private:
    Work& work_;
    std::uint64_t share_;
    std::uint64_t total_;
    std::uint64_t steps_ = 0;
    std::uint64_t reported_ = 0;
};

}  // namespace potstill
