// How many threads the kernels use: OpenMP's count, which torch.set_num_threads sets too.
#pragma once

namespace potstill {

int max_threads();

}  // namespace potstill
