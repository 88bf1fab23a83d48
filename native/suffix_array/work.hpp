// How far a long call has come, read from another thread, and that thread's wish that it end.
#pragma once

#include <atomic>
#include <cstdint>

#include "suffix_array/error.hpp"

namespace potstill {

// Serves one call, or several after another; where one of them fails in a thread, it ends the others by
// cancelling.
class Work {
  public:
    std::uint64_t done() const { return done_.load(std::memory_order_relaxed); }
    void cancel() { is_cancelled_.store(true, std::memory_order_relaxed); }

    // Of whatever unit the call documents. Throws Cancelled when asked to stop, so call it every few
    // milliseconds.
    void add(std::uint64_t amount) {
        done_.fetch_add(amount, std::memory_order_relaxed);
        if (is_cancelled_.load(std::memory_order_relaxed)) throw Cancelled();
    }

  private:
    std::atomic<std::uint64_t> done_{0};
    std::atomic<bool> is_cancelled_{false};
};

}  // namespace potstill
