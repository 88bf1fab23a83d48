#include "kernels/threads.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace potstill {

int max_threads() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int thread_index() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

int team_size() {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

void wait_for_team() {
#ifdef _OPENMP
#pragma omp barrier
#endif
}

}  // namespace potstill
