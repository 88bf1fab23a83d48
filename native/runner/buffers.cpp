#include "runner/buffers.hpp"

#include <stdexcept>
#include <string>

namespace potstill {
namespace {

constexpr std::size_t kMostColumns = std::size_t{1} << 26;

}  // namespace

std::size_t Buffers::add(std::size_t width) {
    if (width == 0 || width > kMostColumns) {
        throw std::invalid_argument("a buffer cannot have " + std::to_string(width) + " columns");
    }
    widths_.push_back(width);
    memory_.emplace_back();
    is_lent_.push_back(false);
    rows_.push_back(nullptr);
    num_rows_ = 0;
    return widths_.size() - 1;
}

std::size_t Buffers::add_lent(std::size_t width) {
    const std::size_t buffer = add(width);
    is_lent_[buffer] = true;
    return buffer;
}

void Buffers::reserve(std::size_t num_rows) {
    if (num_rows <= num_rows_) return;
    for (std::size_t buffer = 0; buffer < widths_.size(); ++buffer) {
        if (is_lent_[buffer]) continue;
        // The old memory goes first, so that both are never held at once.
        memory_[buffer] = AlignedBytes();
        num_rows_ = 0;
        memory_[buffer] = AlignedBytes(num_rows * widths_[buffer] * sizeof(float));
        rows_[buffer] = reinterpret_cast<float*>(memory_[buffer].data());
    }
    num_rows_ = num_rows;
}

void Buffers::check(const View& view) const {
    if (view.buffer >= widths_.size()) {
        throw std::invalid_argument("there is no buffer " + std::to_string(view.buffer));
    }
    const std::size_t width = widths_[view.buffer];
    if (view.width == 0 || view.width > width || view.column > width - view.width) {
        throw std::invalid_argument("columns " + std::to_string(view.column) + " and " +
                                    std::to_string(view.width) + " on are not within buffer " +
                                    std::to_string(view.buffer) + " of " + std::to_string(width));
    }
}

std::size_t Buffers::bytes() const {
    std::size_t sum = 0;
    for (const AlignedBytes& memory : memory_) sum += memory.size();
    return sum;
}

}  // namespace potstill
