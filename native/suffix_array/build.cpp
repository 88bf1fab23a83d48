#include "suffix_array/build.hpp"

#include <algorithm>

#include "suffix_array/error.hpp"
#include "suffix_array/likeness.hpp"
#include "suffix_array/part.hpp"
#include "suffix_array/suffix_sort.hpp"
#include "suffix_array/worker_threads.hpp"

namespace potstill {
namespace {

// Below this a second thread costs more than it brings.
constexpr std::uint64_t kLeastStretch = std::uint64_t{1} << 16;
// Stretches that have more in common than this take longer to merge than one sort of both saves.
constexpr double kMostLikeness = 0.4;

void check_documents(const StreamShape& shape, const std::vector<std::uint64_t>& counts,
                     std::uint64_t num_documents) {
    if (counts[0] != num_documents)
        throw DamagedFile(shape.path, 0,
                          "holds " + std::to_string(counts[0]) + " document ends, and should hold " +
                              std::to_string(num_documents));
}

// Where to cut a stream into up to `count` stretches of documents, of about one size.
template <int Width>
std::vector<std::uint64_t> cut_stream(Symbols<Width> text, std::uint64_t num_symbols, int count) {
    std::vector<std::uint64_t> cuts{0};
    for (int i = 1; i < count; ++i) {
        std::uint64_t cut = std::max(cuts.back(), num_symbols / count * i);
        while (cut < num_symbols && (cut == 0 || text[cut - 1] != 0)) ++cut;
        if (cut - cuts.back() >= kLeastStretch && num_symbols - cut >= kLeastStretch) cuts.push_back(cut);
    }
    cuts.push_back(num_symbols);
    return cuts;
}

// The cuts, or none where the stretches are copies of each other for a large part.
template <int Width>
std::vector<std::uint64_t> cut_where_it_pays(Symbols<Width> text, std::uint64_t num_symbols, int count) {
    auto cuts = cut_stream(text, num_symbols, count);
    if (cuts.size() < 3 || likeness(text, cuts[0], cuts[1], cuts.back()) <= kMostLikeness) return cuts;
    return {0, num_symbols};
}

using SortedParts = std::vector<std::unique_ptr<SortedPart>>;

SortedParts sort_stretches(const Stream& stream, const std::vector<std::uint64_t>& cuts, Work& work) {
    SortedParts parts(cuts.size() - 1);
    run_in_threads(static_cast<int>(parts.size()), work, [&](int i) {
        const unsigned char* first = stream.symbols() + cuts[i] * stream.shape().symbol_bytes;
        const std::uint64_t num_symbols = cuts[i + 1] - cuts[i];
        parts[i] =
            std::make_unique<SortedPart>(stream.shape(), first, num_symbols, kSortUnits * num_symbols, work);
    });
    return parts;
}

}  // namespace

std::uint64_t build_suffixes(const std::string& folder, StreamShape shape, std::uint64_t num_documents,
                             bool with_tables, int threads, Work& work) {
    shape.path = folder + "/tokens.bin";
    if (shape.num_symbols > kMostSortedSymbols)
        throw std::invalid_argument("num_symbols must be below 2**31 to be sorted at once");
    const Stream stream(shape, true);
    const auto cuts = dispatch_width(shape.symbol_bytes, stream.symbols(), [&](auto text) {
        return cut_where_it_pays(text, shape.num_symbols, std::clamp(threads, 1, kMostBuildThreads));
    });
    const SortedParts parts = sort_stretches(stream, cuts, work);
    std::vector<std::uint64_t> counts(shape.vocab_size + 1ull);
    std::vector<SortedInMemory> sorted;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        for (std::size_t symbol = 0; symbol < counts.size(); ++symbol)
            counts[symbol] += parts[i]->counts()[symbol];
        sorted.emplace_back(parts[i]->entries(), parts[i]->size(), static_cast<std::int64_t>(cuts[i]) - 1);
    }
    SuffixLists lists;
    for (const SortedInMemory& list : sorted) lists.push_back(&list);
    check_documents(shape, counts, num_documents);
    const SuffixFiles files(folder, shape, counts, with_tables);
    return merge_suffixes(files, stream.symbols(), lists, threads, work);
}

std::uint64_t merge_parts(const std::string& folder, const StreamShape& shape, std::uint64_t num_documents,
                          const SuffixLists& parts, bool with_tables, int threads, std::uint64_t memory_bytes,
                          Work& work) {
    const Stream stream(shape, shape.num_bytes() + (std::uint64_t{1} << 20) <= memory_bytes);
    const auto counts = count_symbols(shape, stream.symbols(), 0, shape.num_symbols);
    check_documents(shape, counts, num_documents);
    const SuffixFiles files(folder, shape, counts, with_tables);
    return merge_suffixes(files, stream.symbols(), parts, threads, work);
}

}  // namespace potstill
