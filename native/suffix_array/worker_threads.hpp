// The same call in several threads, and the first thing that went wrong in one of them.
#pragma once

#include <exception>
#include <thread>
#include <vector>

#include "suffix_array/error.hpp"
#include "suffix_array/work.hpp"

namespace potstill {

// body(0) .. body(count - 1), the first in this thread. When one throws, `work` is cancelled so that the
// others end soon, and what was thrown first in that order, other than Cancelled, is thrown again.
template <typename Body>
void run_in_threads(int count, Work& work, Body&& body) {
    std::vector<std::exception_ptr> refusals(count), cancellations(count);
    const auto guarded = [&](int i) {
        try {
            body(i);
        } catch (const Cancelled&) {
            cancellations[i] = std::current_exception();
        } catch (...) {
            refusals[i] = std::current_exception();
            work.cancel();
        }
    };
    std::vector<std::jthread> threads;
    for (int i = 1; i < count; ++i) threads.emplace_back(guarded, i);
    guarded(0);
    threads.clear();
    for (const auto* thrown : {&refusals, &cancellations}) {
        for (const std::exception_ptr& error : *thrown) {
            if (error) std::rethrow_exception(error);
        }
    }
}

}  // namespace potstill
