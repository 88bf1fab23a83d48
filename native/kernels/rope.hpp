// Rotary positions (Su et al. 2021, arXiv:2104.09864, section 3.4.2), heads laid out in two halves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace potstill {

// table [2 * half]: cosines, then sines, of position * frequencies[i]; the product is rounded to float, as
// torch rounds it. Within 2e-7 of the exact values for positions below 2^24.
void fill_rotation(std::int64_t position, const float* frequencies, std::size_t half, float* table);

// The first 2 * half numbers of each of `num_heads` heads turn; the others stay.
void rotate_heads(float* x, std::size_t num_heads, std::size_t head_size, const float* table,
                  std::size_t half);

}  // namespace potstill
