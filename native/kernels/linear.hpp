// Products of a few rows of inputs with a packed matrix of weights.
#pragma once

#include <atomic>
#include <cstddef>

#include "kernels/nonlinear.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/quantize.hpp"

namespace potstill {

// What becomes of a product y: act(y + bias), or that added to what `out` held.
struct Epilogue {
    const float* bias = nullptr;  // [rows of the matrix]
    Act act = Act::none;
    bool accumulate = false;
};

// out[r, n] = epilogue(sum over k of x[r, k] w[n, k]), out [num_rows, rows of w] with `out_stride` floats
// from row to row. Every thread of a team calls this after `x` was prepared for the columns and the kind of
// `w`, and takes outputs as long as there are any: `next` is 0 before the first of them comes, and theirs
// alone. A barrier follows. A row's result does not depend on the number of rows or of threads, nor on its
// place, to the last bit.
void linear(std::size_t num_threads, std::atomic<std::size_t>& next, const Activations& x,
            std::size_t num_rows, const PackedMatrix& w, float* out, std::size_t out_stride,
            const Epilogue& epilogue);

// The same by a team of its own: x [num_rows, columns of w], out [num_rows, rows of w], rows without gaps.
void linear_by_team(const float* x, std::size_t num_rows, const PackedMatrix& w, float* out,
                    const Epilogue& epilogue);

}  // namespace potstill
