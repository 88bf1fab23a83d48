// potstill._native: converts between Python's arrays and the kernels' spans, and nothing else.
#include "bindings/module.hpp"

#include "kernels/threads.hpp"

NB_MODULE(_native, m) {
    m.doc() =
        "Kernels over CPU arrays, and the index's core. Import torch before a kernel is called: both then "
        "share one "
        "pool of threads.";
    m.def("max_threads", &potstill::max_threads,
          "Threads a kernel may use: OpenMP's count, 1 without OpenMP.");
    potstill::bind_errors(m);
    potstill::bind_attention(m);
    potstill::bind_linear(m);
    potstill::bind_program(m);
    potstill::bind_sampling(m);
    potstill::bind_suffix_build(m);
    potstill::bind_suffix_repeats(m);
    potstill::bind_suffix_search(m);
}
