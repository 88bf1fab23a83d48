#include "suffix_array/probes.hpp"

#include <algorithm>

namespace potstill {
namespace {

constexpr std::size_t kGroup = 128;

void prefetch_symbol(const Segment& segment, std::uint64_t position) {
    segment.dispatch([&](const auto& text) { text.prefetch(position); });
}

}  // namespace

void read_symbols(std::span<Probe> probes) {
    for (std::size_t begin = 0; begin < probes.size(); begin += kGroup) {
        const auto group = probes.subspan(begin, std::min(kGroup, probes.size() - begin));
        for (const Probe& probe : group) probe.segment->prefetch_position(probe.rank);
        for (Probe& probe : group) {
            probe.position = probe.segment->position(probe.rank);
            prefetch_symbol(*probe.segment, probe.position + probe.depth);
        }
        for (Probe& probe : group) probe.symbol = probe.segment->symbol(probe.position + probe.depth);
    }
}

}  // namespace potstill
