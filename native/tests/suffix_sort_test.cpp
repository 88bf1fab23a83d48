// Every order beside that of a plain sort.
#include "suffix_array/suffix_sort.hpp"

#include "suffix_array/symbols.hpp"
#include "tests/check.hpp"
#include "tests/documents.hpp"

namespace potstill {
namespace {

constexpr std::uint64_t kShare = 1000;

std::vector<std::uint64_t> sort_fast(const SymbolList& stream, std::uint32_t vocab_size, int width) {
    SymbolList text = stream;
    text.insert(text.begin(), 0);
    text.push_back(0);
    const auto bytes = to_bytes(text, width);
    std::vector<std::int32_t> starts(vocab_size + 2, 0);
    for (const std::uint32_t symbol : text) ++starts[symbol + 1];
    for (std::size_t value = 1; value < starts.size(); ++value) starts[value] += starts[value - 1];
    std::vector<std::int32_t> suffixes(text.size() + kSortSlack, 0);
    Work work;
    const auto length = static_cast<std::int32_t>(text.size());
    sort_suffixes({bytes.data() + kPaddingBytes, width, length, static_cast<std::int32_t>(vocab_size) + 1,
                   starts.data(), suffixes.data()},
                  work, kShare);
    CHECK(work.done() == kShare);
    std::vector<std::uint64_t> positions;
    for (std::size_t i = starts[1]; i < text.size(); ++i)
        positions.push_back(static_cast<std::uint64_t>(suffixes[i]) - 1);
    return positions;
}

void check_order(const NamedStream& stream) {
    const auto expected = sort_plainly(stream.symbols);
    for (int width = stream.vocab_size > 65535 ? 3 : stream.vocab_size > 255 ? 2 : 1; width <= 4; ++width) {
        if (sort_fast(stream.symbols, stream.vocab_size, width) == expected) continue;
        std::fprintf(stderr, "%s at %d bytes: out of order\n", stream.name.c_str(), width);
        std::exit(1);
    }
}

void test_random_streams() {
    std::mt19937 random(3);
    constexpr std::uint32_t kVocabs[] = {1, 2, 3, 4, 7, 20, 255, 300, 70000};
    for (int round = 0; round < 1500; ++round) {
        const std::uint32_t vocab_size = kVocabs[random() % std::size(kVocabs)];
        const double end_rate = round % 5 == 0 ? 0.5 : round % 5 == 1 ? 0.2 : round % 5 == 2 ? 0.0 : 0.02;
        const std::size_t length = random() % (round % 10 == 0 ? 2000 : 60);
        check_order({"random " + std::to_string(round), vocab_size,
                     random_stream(random, vocab_size, length, end_rate)});
    }
}

void test_a_cancelled_sort_ends() {
    SymbolList text(1000, 1);
    text.front() = text.back() = 0;
    const auto bytes = to_bytes(text, 1);
    const std::int32_t starts[] = {0, 2, 1000};
    std::vector<std::int32_t> suffixes(text.size() + kSortSlack, 0);
    Work work;
    work.cancel();
    CHECK_THROWS(
        sort_suffixes({bytes.data() + kPaddingBytes, 1, 1000, 2, starts, suffixes.data()}, work, kShare),
        Cancelled);
}

}  // namespace

void test_suffix_sort() {
    for (const NamedStream& stream : hard_streams()) check_order(stream);
    test_random_streams();
    test_a_cancelled_sort_ends();
}

}  // namespace potstill
