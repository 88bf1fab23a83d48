// Repeats beside a scan of every pair of positions, on streams small enough for that.
#include "suffix_array/repeats.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "suffix_array/error.hpp"
#include "suffix_array/packed.hpp"
#include "tests/check.hpp"

namespace potstill {
namespace {

using Stream = std::vector<std::uint8_t>;  // symbols of one byte, each document ended by 0

bool less(const Stream& stream, std::uint64_t a, std::uint64_t b) {
    const std::uint64_t first = a, second = b;
    while (stream[a] && stream[a] == stream[b]) ++a, ++b;
    return stream[a] != stream[b] ? stream[a] < stream[b] : first < second;
}

struct Packing {
    std::vector<unsigned char> tokens, suffixes;
    SuffixOrder order;

    explicit Packing(const Stream& stream) : tokens(stream) {
        std::vector<std::uint64_t> ranks;
        for (std::uint64_t at = 0; at < stream.size(); ++at)
            if (stream[at]) ranks.push_back(at);
        std::sort(ranks.begin(), ranks.end(), [&](auto a, auto b) { return less(stream, a, b); });
        tokens.resize(stream.size() + 8);
        const int bits = packed_bits(stream.empty() ? 0 : stream.size() - 1);
        suffixes.resize(packed_bytes(ranks.size(), bits));
        for (std::uint64_t rank = 0; rank < ranks.size(); ++rank)
            for (int bit = 0; bit < bits; ++bit)
                if (ranks[rank] >> bit & 1) {
                    const std::uint64_t at =
                        rank * static_cast<std::uint64_t>(bits) + static_cast<std::uint64_t>(bit);
                    suffixes[at / 8] |= static_cast<unsigned char>(1 << (at % 8));
                }
        order = {tokens, suffixes, 1, bits, stream.size(), ranks.size()};
    }
};

std::vector<SymbolSpan> merged(const std::vector<bool>& starts, std::uint64_t length) {
    std::vector<bool> covered(starts.size() + 1);
    for (std::uint64_t at = 0; at < starts.size(); ++at)
        for (std::uint64_t i = 0; starts[at] && i < length; ++i) covered[at + i] = true;
    std::vector<SymbolSpan> spans;
    for (std::uint64_t at = 0; at < starts.size(); ++at) {
        if (!covered[at]) continue;
        if (spans.empty() || spans.back().stop != at) spans.push_back({at, at});
        spans.back().stop = at + 1;
    }
    return spans;
}

Repeats scan(const Stream& stream, std::uint64_t length) {
    std::vector<bool> repeated(stream.size()), later(stream.size());
    const auto is_run = [&](std::uint64_t at) {
        if (at + length > stream.size()) return false;
        const auto first = stream.begin() + static_cast<std::ptrdiff_t>(at);
        return std::find(first, first + static_cast<std::ptrdiff_t>(length), 0) ==
               first + static_cast<std::ptrdiff_t>(length);
    };
    for (std::uint64_t a = 0; a < stream.size(); ++a)
        for (std::uint64_t b = a + 1; b < stream.size(); ++b) {
            if (!is_run(a) || !is_run(b)) continue;
            std::uint64_t same = 0;
            while (same < length && stream[a + same] == stream[b + same]) ++same;
            if (same == length) repeated[a] = repeated[b] = later[b] = true;
        }
    return {merged(repeated, length), merged(later, length)};
}

Stream random_stream(std::mt19937& random, std::uint64_t size) {
    Stream stream(size);
    const unsigned alphabet = 1 + random() % 4;
    for (auto& symbol : stream)
        symbol = random() % 9 == 0 ? 0 : static_cast<std::uint8_t>(1 + random() % alphabet);
    if (size) stream.back() = 0;
    return stream;
}

}  // namespace

void test_repeats() {
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
        const Stream stream = random_stream(random, random() % 60);
        const Packing packed(stream);
        for (std::uint64_t length : {1u, 2u, 3u, 7u, 60u}) {
            const Repeats expected = scan(stream, length), found = find_repeats(packed.order, length, 1);
            CHECK(found.repeated == expected.repeated && found.later == expected.later);
        }
    }
    const Packing large(random_stream(random, 40'000));
    for (std::uint64_t length : {1u, 4u, 12u}) {
        const Repeats one = find_repeats(large.order, length, 1),
                      three = find_repeats(large.order, length, 3);
        CHECK(one.repeated == three.repeated && one.later == three.later);
    }
    CHECK_THROWS(find_repeats(large.order, 0, 1), std::invalid_argument);
    Packing hostile(Stream{1, 1, 0});
    hostile.suffixes[0] = 0xFF;
    CHECK_THROWS(find_repeats(hostile.order, 1, 1), DamagedFile);
    hostile.order.num_symbols = std::uint64_t{1} << 62;
    CHECK_THROWS(find_repeats(hostile.order, 1, 1), std::invalid_argument);
}

}  // namespace potstill
