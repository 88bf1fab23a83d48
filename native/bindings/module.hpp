#pragma once

#include <nanobind/nanobind.h>

namespace potstill {

void bind_attention(nanobind::module_& m);
void bind_errors(nanobind::module_& m);
void bind_linear(nanobind::module_& m);
void bind_program(nanobind::module_& m);
void bind_sampling(nanobind::module_& m);
void bind_suffix_build(nanobind::module_& m);
void bind_suffix_repeats(nanobind::module_& m);
void bind_suffix_search(nanobind::module_& m);

}  // namespace potstill
