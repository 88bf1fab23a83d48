#include "suffix_array/part.hpp"

#include <algorithm>
#include <cstring>

#include "suffix_array/error.hpp"
#include "suffix_array/file.hpp"
#include "suffix_array/overlap.hpp"
#include "suffix_array/suffix_sort.hpp"

namespace potstill {
namespace {

// The symbols [first, stop) of a file between two document ends, the second one their own if they have it.
class Stretch {
  public:
    Stretch(const StreamShape& shape, std::uint64_t first, std::uint64_t stop)
        : num_symbols_(stop - first),
          width_(shape.symbol_bytes),
          memory_((num_symbols_ + 2) * width_ + 2 * kPaddingBytes) {
        const InputFile file(shape.path);
        file.read(symbols(), num_symbols_ * width_, first * width_);
    }

    unsigned char* symbols() const { return memory_.data() + kPaddingBytes + width_; }
    // With the end that was added where the file has none.
    std::uint64_t num_symbols() const { return num_symbols_ + (ends_with_end() ? 0 : 1); }
    bool ends_with_end() const {
        const unsigned char* last = symbols() + (num_symbols_ - 1) * width_;
        return num_symbols_ > 0 &&
               std::all_of(last, last + width_, [](unsigned char byte) { return byte == 0; });
    }

  private:
    std::uint64_t num_symbols_;
    std::uint64_t width_;
    Memory<unsigned char> memory_;
};

// Where sorting must reach for the suffixes that begin in [first, stop) to be in the whole stream's order.
std::uint64_t reach_of(const StreamShape& shape, std::uint64_t first, std::uint64_t stop,
                       std::uint64_t most_symbols, Work& work) {
    const Stream stream(shape, false);
    return dispatch_width(shape.symbol_bytes, stream.symbols(), [&](auto text) {
        std::uint64_t end = stop - 1;
        while (text[end] != 0) ++end;
        if (end + 1 <= stop) return stop;
        const std::uint64_t most = most_symbols - std::min(most_symbols, stop - first);
        const std::uint64_t overlap = longest_match(text, first, stop - 1, end, most, work);
        // With the document's whole rest comes its end.
        return std::min(end + 1, stop + overlap);
    });
}

void write_entries(const SortedPart& part, std::uint64_t num_wanted, const std::string& out) {
    OutputFile file(out);
    for (std::uint64_t i = 0; i < part.size(); ++i) {
        const auto position = static_cast<std::uint32_t>(part.entries()[i] - 1);
        if (position < num_wanted) file.append_number(position);
    }
    file.finish();
}

void check_stretch(const StreamShape& shape, std::uint64_t first, std::uint64_t stop) {
    check_shape(shape);
    if (first > stop || stop > shape.num_symbols)
        throw std::invalid_argument("[first, stop) must be inside the stream");
    if (stop - first > kMostSortedSymbols)
        throw std::invalid_argument("a part must have fewer than 2**31 symbols");
}

}  // namespace

SortedPart::SortedPart(const StreamShape& shape, const unsigned char* first_symbol, std::uint64_t num_symbols,
                       std::uint64_t share, Work& work)
    : counts_(count_symbols(shape, first_symbol, 0, num_symbols)), suffixes_(num_symbols + 1 + kSortSlack) {
    // The symbol before the first is one more end.
    std::vector<std::int32_t> starts{0};
    std::int32_t start = 1;
    for (const std::uint64_t count : counts_) starts.push_back(start += static_cast<std::int32_t>(count));
    const SortedText text{first_symbol - shape.symbol_bytes,
                          shape.symbol_bytes,
                          static_cast<std::int32_t>(num_symbols + 1),
                          static_cast<std::int32_t>(counts_.size()),
                          starts.data(),
                          suffixes_.data()};
    first_entry_ = starts[1];
    size_ = num_symbols + 1 - first_entry_;
    if (size_ > 0) {
        sort_suffixes(text, work, share);
    } else {
        work.add(share);
    }
}

void sort_part(const StreamShape& shape, std::uint64_t first, std::uint64_t stop, std::uint64_t most_symbols,
               const std::string& out, Work& work) {
    check_stretch(shape, first, stop);
    if (first == stop) {
        OutputFile(out).finish();
        return;
    }
    most_symbols = std::min(most_symbols, kMostSortedSymbols);
    const std::uint64_t reach = reach_of(shape, first, stop, most_symbols, work);
    if (reach - first > most_symbols) {
        throw PartTooLarge("a document that repeats itself across the end of a part takes at least " +
                           std::to_string(part_bytes(reach - first, shape.symbol_bytes, shape.vocab_size)) +
                           " bytes of memory to sort");
    }
    const Stretch stretch(shape, first, reach);
    const SortedPart part(shape, stretch.symbols(), stretch.num_symbols(), kSortUnits * (stop - first), work);
    write_entries(part, stop - first, out);
}

std::uint64_t part_bytes(std::uint64_t num_symbols, int symbol_bytes, std::uint32_t vocab_size) {
    const std::uint64_t num_values = vocab_size + 1ull;
    const std::uint64_t counted = std::max<std::uint64_t>(num_values, symbol_bytes <= 2 ? 65536 : 0);
    constexpr std::uint64_t kBuffers = std::uint64_t{4} << 20;
    return (num_symbols + 2) * (4 + symbol_bytes) + counted * 12 + sort_bytes(num_symbols + 1, num_values) +
           kBuffers;
}

}  // namespace potstill
