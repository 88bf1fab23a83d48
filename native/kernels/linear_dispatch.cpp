#include <cstdlib>
#include <string_view>

#include "kernels/linear_tiles.hpp"

namespace potstill {
namespace {

bool wants_plain() {
    const char* value = std::getenv("POTSTILL_PLAIN_KERNELS");
    return value != nullptr && std::string_view(value) == "1";
}

TileKernel fast_kernel([[maybe_unused]] WeightKind kind) {
#ifdef POTSTILL_X86_KERNELS
    switch (kind) {
        case WeightKind::float32:
            return float_kernel();
        case WeightKind::bfloat16:
            return bf16_kernel();
        case WeightKind::int8:
            return int8_kernel();
    }
#endif
    return nullptr;
}

}  // namespace

TileKernel best_kernel(WeightKind kind) {
    static const bool is_plain = wants_plain();
    const TileKernel fast = is_plain ? nullptr : fast_kernel(kind);
    return fast != nullptr ? fast : plain_kernel(kind);
}

}  // namespace potstill
