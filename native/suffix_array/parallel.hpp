// A range of numbers worked on in pieces by plain threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace potstill {

// More threads than processors only take turns.
inline std::uint64_t most_threads(int asked) {
    const auto wanted = static_cast<unsigned>(std::max(asked, 1));
    return std::min(wanted, std::max(std::thread::hardware_concurrency(), 1u));
}

// Calls body(first, stop) for pieces of `piece` numbers below `count`, in the calling thread and up to
// `threads` - 1 others. The first exception ends the work and is thrown again here.
template <typename Body>
void for_pieces(std::uint64_t count, std::uint64_t piece, int threads, Body&& body) {
    std::atomic<std::uint64_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_lock;
    const auto work = [&] {
        try {
            for (;;) {
                const std::uint64_t first = next.fetch_add(piece);
                if (first >= count) return;
                body(first, std::min(count, first + piece));
            }
        } catch (...) {
            next.store(count);
            const std::lock_guard lock(failure_lock);
            if (!failure) failure = std::current_exception();
        }
    };
    const std::uint64_t pieces = count / piece + (count % piece != 0);
    std::vector<std::jthread> others;
    for (std::uint64_t i = 1; i < std::min(pieces, most_threads(threads)); ++i) others.emplace_back(work);
    work();
    others.clear();
    if (failure) std::rethrow_exception(failure);
}

// Pieces so large that each thread has one, within the bounds.
inline std::uint64_t piece_of(std::uint64_t count, int threads, std::uint64_t least, std::uint64_t most) {
    const auto share = count / most_threads(threads) + 1;
    return std::clamp(share, least, most);
}

}  // namespace potstill
