// Drawing one token a row of logits, exactly, without sorting the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/types.hpp"

namespace potstill {

// How one row is drawn. The filters act in the order of the fields, each on what the one before left.
struct RowSampling {
    float temperature;   // >= 0; 0 takes the likeliest token, of equals the lowest id
    std::int32_t top_k;  // >= 0; that many likeliest tokens, of equals the lower ids; 0 is all
    float top_p;         // (0, 1]; the smallest set of likeliest tokens with at least this mass
    float min_p;         // [0, 1); a token's least share of the likeliest one's probability
    double uniform;      // [0, 1); where the cumulated probability, in the order of ids, is to be crossed
};

struct Draw {
    TokenId token_id;
    float logprob;  // at temperature 1, before any filter
};

// One draw for each row of logits [B, V], T float or bf16. Holtzman et al. 2020 (arXiv:1904.09751,
// section 3.1) for top_p, Nguyen et al. 2024 (arXiv:2407.01082, section 3) for min_p. Throws
// std::invalid_argument for a setting out of its range, for NaN or +inf, and for a row of -inf only.
template <typename T>
void sample(std::span<const T> logits, std::span<const RowSampling> rows, std::span<Draw> draws);

// log sum exp of each row of logits [B, V], accumulated in double; -inf for a row of -inf, NaN for one with
// NaN.
template <typename T>
void logsumexp(std::span<const T> logits, std::span<float> out);

}  // namespace potstill
