#include "suffix_array/merge.hpp"

#include <algorithm>

#include "suffix_array/error.hpp"
#include "suffix_array/tournament.hpp"
#include "suffix_array/worker_threads.hpp"

namespace potstill {
namespace {

constexpr int kMostMergeThreads = 64;

// The first entry whose suffix begins with `symbol` or a larger one.
template <int Width>
std::uint64_t find_symbol(Symbols<Width> text, std::uint64_t num_symbols, const SuffixList& list,
                          Symbol symbol) {
    std::uint64_t low = 0, high = list.size();
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        std::uint64_t kept = middle;
        std::optional<std::uint64_t> position;
        while (kept < high && !(position = list.at(kept))) ++kept;
        if (position && *position >= num_symbols)
            throw DamagedFile("a part to merge", 0, "it holds a position behind the end of the stream");
        if (position && text[*position] < symbol) {
            low = kept + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

template <int Width>
void merge_range(Symbols<Width> text, std::uint64_t num_symbols, const SuffixLists& lists, Symbol first,
                 Symbol stop, Symbol last, SuffixRange& range, Work& work) {
    constexpr std::uint64_t kBlock = 1 << 14;
    std::vector<ListHead<Width>> heads;
    for (const SuffixList* list : lists) {
        const std::uint64_t start = first == 1 ? 0 : find_symbol(text, num_symbols, *list, first);
        const std::uint64_t end = stop == last ? list->size() : find_symbol(text, num_symbols, *list, stop);
        heads.emplace_back(text, num_symbols, list->read(start, std::max(start, end)));
    }
    Tournament<Width> tournament(text, heads);
    std::uint64_t done = 0;
    for (ListHead<Width>* head = &tournament.winner(); !head->is_at_end(); head = &tournament.winner()) {
        const KeyedSuffix& suffix = head->suffix();
        range.append(suffix.position, SuffixKey<Width>::first(suffix.key),
                     SuffixKey<Width>::second(suffix.key));
        tournament.advance();
        if (++done % kBlock == 0) work.add(kBlock);
    }
    work.add(done % kBlock);
    range.finish();
}

}  // namespace

std::uint64_t merge_suffixes(const SuffixFiles& files, const unsigned char* symbols, const SuffixLists& lists,
                             int threads, Work& work) {
    const std::vector<Symbol> cuts = files.cuts(std::clamp(threads, 1, kMostMergeThreads));
    work.add(files.shape().num_symbols - files.num_tokens());
    std::vector<std::unique_ptr<SuffixRange>> ranges;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
        ranges.push_back(std::make_unique<SuffixRange>(files, i, cuts[i], cuts[i + 1]));
    dispatch_width(files.shape().symbol_bytes, symbols, [&]<int Width>(Symbols<Width> text) {
        run_in_threads(static_cast<int>(ranges.size()), work, [&](int i) {
            if (lists.empty()) {
                ranges[i]->finish();
            } else {
                merge_range(text, files.shape().num_symbols, lists, cuts[i], cuts[i + 1], cuts.back(),
                            *ranges[i], work);
            }
        });
    });
    return files.join(ranges);
}

}  // namespace potstill
