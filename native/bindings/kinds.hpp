// Names that Python gives to the kinds of weights and activations.
#pragma once

#include <stdexcept>
#include <string>

#include "kernels/nonlinear.hpp"

namespace potstill {

inline Act act_of(const std::string& name) {
    if (name == "none") return Act::none;
    if (name == "silu") return Act::silu;
    if (name == "gelu_tanh") return Act::gelu_tanh;
    if (name == "gelu") return Act::gelu;
    if (name == "relu") return Act::relu;
    throw std::invalid_argument("act must be none, silu, gelu_tanh, gelu or relu, not " + name);
}

}  // namespace potstill
