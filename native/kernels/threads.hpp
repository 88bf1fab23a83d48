// How many threads the kernels use: OpenMP's count, which torch.set_num_threads sets too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace potstill {

int max_threads();

// Of the calling thread, in [0, max_threads()).
int thread_index();

// Threads of the parallel region that the calling thread is in.
int team_size();

// Where the threads of one team wait for each other.
//
// Not OpenMP's barrier: that one spins for milliseconds, which on a machine with other work keeps the late
// thread off the very core it needs. This one spins as long as a quiet machine is ever late, then sleeps.
class TeamBarrier {
  public:
    // Until all `num_threads` have called it as often as the caller.
    void wait(std::size_t num_threads);

  private:
    std::atomic<std::uint32_t> num_arrived_{0}, phase_{0};
};

// Rows begin .. end of a table, one thread's part of it.
struct Share {
    std::size_t begin, end;
};

inline Share share_of(std::size_t count, std::size_t thread, std::size_t num_threads) {
    return {count * thread / num_threads, count * (thread + 1) / num_threads};
}

// Of the calling thread in its team.
inline Share share_of(std::size_t count) {
    return share_of(count, static_cast<std::size_t>(thread_index()), static_cast<std::size_t>(team_size()));
}

}  // namespace potstill
