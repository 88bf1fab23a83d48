// How many threads the kernels use: OpenMP's count, which torch.set_num_threads sets too.
#pragma once

namespace potstill {

int max_threads();

// Of the calling thread, in [0, max_threads()).
int thread_index();

// Threads of the parallel region that the calling thread is in.
int team_size();

}  // namespace potstill
