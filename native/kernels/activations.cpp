#include "kernels/activations.hpp"

namespace potstill {
namespace {

template <Act kAct>
POTSTILL_INLINE void gate_by(const float* a, const float* b, std::size_t size, float* out) {
    for (std::size_t i = 0; i < size; ++i) out[i] = activate(a[i], kAct) * b[i];
}

}  // namespace

POTSTILL_CLONES void gate(const float* a, const float* b, std::size_t size, Act act, float* out) {
    switch (act) {
        case Act::none:
            return gate_by<Act::none>(a, b, size, out);
        case Act::silu:
            return gate_by<Act::silu>(a, b, size, out);
        case Act::gelu_tanh:
            return gate_by<Act::gelu_tanh>(a, b, size, out);
        case Act::gelu:
            return gate_by<Act::gelu>(a, b, size, out);
        case Act::relu:
            return gate_by<Act::relu>(a, b, size, out);
    }
}

POTSTILL_CLONES void softcap(float* x, std::size_t size, float cap) {
    const float share = 1.0F / cap;
    for (std::size_t i = 0; i < size; ++i) {
        const float z = x[i] * share;
        const float e = exp_nonpositive(z < 0 ? 2 * z : -2 * z);
        const float bound = (1.0F - e) / (1.0F + e);
        x[i] = cap * (z < 0 ? -bound : bound);
    }
}

}  // namespace potstill
