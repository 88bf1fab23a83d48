// Activation functions over rows of numbers.
#pragma once

#include <cstddef>

#include "kernels/nonlinear.hpp"

namespace potstill {

// out = act(a) * b (Shazeer 2020, arXiv:2002.05202). out may be a or b.
void gate(const float* a, const float* b, std::size_t size, Act act, float* out);

// x = cap * tanh(x / cap).
void softcap(float* x, std::size_t size, float cap);

}  // namespace potstill
