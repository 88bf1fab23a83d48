// How many threads the kernels use: OpenMP's count, which torch.set_num_threads sets too.
#pragma once

#include <cstddef>

namespace potstill {

int max_threads();

// Of the calling thread, in [0, max_threads()).
int thread_index();

// Threads of the parallel region that the calling thread is in.
int team_size();

// Until every thread of the team has come here.
void wait_for_team();

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
