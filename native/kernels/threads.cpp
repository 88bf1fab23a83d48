#include "kernels/threads.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace potstill {
namespace {

// Some thirty microseconds: a few times what the shares of a team differ by, and less than waking a thread
// costs.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

}  // namespace

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

void TeamBarrier::wait(std::size_t num_threads) {
    if (num_threads == 1) return;
    const std::uint32_t phase = phase_.load(std::memory_order_acquire);
    if (num_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == num_threads) {
        num_arrived_.store(0, std::memory_order_relaxed);
        phase_.fetch_add(1, std::memory_order_release);
        phase_.notify_all();
        return;
    }
    for (int spin = 0; spin < kSpins; ++spin) {
        if (phase_.load(std::memory_order_acquire) != phase) return;
        pause();
    }
    phase_.wait(phase, std::memory_order_acquire);
}

}  // namespace potstill
