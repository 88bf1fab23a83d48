#include "kernels/threads.hpp"
#include "runner/instructions.hpp"

namespace potstill {
namespace {

template <typename T>
AttentionArrays<T> cache_arrays(const Run& run, const AttendSettings& settings) {
    const CacheArrays& cache = run.in.cache;
    const Buffers& buffers = *run.buffers;
    return {buffers.row(settings.q, 0),
            buffers.row(settings.out, 0),
            cache.layer<T>(cache.keys, settings.layer),
            cache.layer<T>(cache.values, settings.layer),
            buffers.stride(settings.q),
            buffers.stride(settings.out),
            cache.shape.num_kv_heads * cache.shape.head_size,
            cache.shape.block_size};
}

// Keys and values that lie in the run's own tables have one stride: they are views of one buffer.
AttentionArrays<float> packed_arrays(const Run& run, const AttendSettings& settings) {
    const Buffers& buffers = *run.buffers;
    return {buffers.row(settings.q, 0),    buffers.row(settings.out, 0),
            buffers.row(settings.keys, 0), buffers.row(settings.values, 0),
            buffers.stride(settings.q),    buffers.stride(settings.out),
            buffers.stride(settings.keys), 1};
}

// Call `body` with the arrays in the type that the keys have.
template <typename Body>
void with_arrays(const Run& run, const AttendSettings& settings, Body&& body) {
    if (settings.heads.keys_of == KeysOf::packed) return body(packed_arrays(run, settings));
    if (run.in.cache.is_bf16) return body(cache_arrays<bf16>(run, settings));
    body(cache_arrays<float>(run, settings));
}

}  // namespace

void Prepare::run(const Run& run, RunThread& thread) const {
    run.activations->prepare(thread.index, thread.count, run.buffers->row(x_, 0), run.rows_in(space_),
                             x_.width, run.buffers->stride(x_), weights_);
}

void Product::run(const Run& run, RunThread& thread) const {
    const Epilogue epilogue{bias_.empty() ? nullptr : bias_.data(), act_, accumulate_};
    linear(thread.count, (*run.counters)[counter_], *run.activations, run.rows_in(space_), matrix_,
           run.buffers->row(out_, 0), run.buffers->stride(out_), epilogue);
}

void Attend::run(const Run& run, RunThread& thread) const {
    const AttentionPlan& plan = (*run.plans)[settings_->plan];
    std::atomic<std::size_t>& next = (*run.counters)[settings_->counter];
    with_arrays(run, *settings_, [&](const auto& arrays) {
        for (std::size_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < plan.num_items();) {
            attend_item(plan, arrays, settings_->options, item, thread.scratch);
        }
    });
}

void FinishAttend::run(const Run& run, RunThread& thread) const {
    const AttentionPlan& plan = (*run.plans)[settings_->plan];
    if (!plan.is_split()) return;
    const Share share = share_of(run.rows_in(Space::tokens), thread.index, thread.count);
    with_arrays(run, *settings_, [&](const auto& arrays) {
        finish_queries(plan, arrays, settings_->options, share.begin, share.end, thread.scratch);
    });
}

}  // namespace potstill
