#include "suffix_array/repeats.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <exception>
#include <stdexcept>
#include <thread>

#include "suffix_array/error.hpp"
#include "suffix_array/packed.hpp"
#include "suffix_array/symbols.hpp"

namespace potstill {
namespace {

// Ranks whose text is asked for ahead of the comparison.
constexpr std::uint64_t kAhead = 24;

class Bits {
  public:
    explicit Bits(std::uint64_t size) : size_(size), words_((size + 63) / 64) {}

    void set(std::uint64_t index) {
        words_[index / 64].fetch_or(std::uint64_t{1} << (index % 64), std::memory_order_relaxed);
    }

    // The first set bit at or after `from`, or the size.
    std::uint64_t next(std::uint64_t from) const {
        for (std::uint64_t word = from / 64; word < words_.size(); ++word) {
            std::uint64_t left = words_[word].load(std::memory_order_relaxed);
            if (word == from / 64) left &= ~std::uint64_t{0} << (from % 64);
            if (left) return word * 64 + static_cast<std::uint64_t>(std::countr_zero(left));
        }
        return size_;
    }

    std::uint64_t size() const { return size_; }

  private:
    std::uint64_t size_;
    std::vector<std::atomic<std::uint64_t>> words_;
};

template <typename Text>
class Pass {
  public:
    Pass(const SuffixOrder& order, Text text, std::uint64_t length, Bits& repeated, Bits& later)
        : text_(text),
          suffixes_{order.suffixes.data(), order.position_bits},
          num_symbols_(order.num_symbols),
          num_tokens_(order.num_tokens),
          length_(length),
          repeated_(repeated),
          later_(later) {}

    // The groups of equal runs that begin at ranks [first, stop); the last of them may reach further.
    void run(std::uint64_t first, std::uint64_t stop) {
        std::uint64_t rank = first;
        while (rank > 0 && rank < stop && is_like_previous(rank)) ++rank;
        while (rank < stop) {
            std::uint64_t end = rank + 1;
            while (end < num_tokens_ && is_like_previous(end)) ++end;
            if (end - rank > 1) mark(rank, end);
            rank = end;
        }
    }

  private:
    std::uint64_t position(std::uint64_t rank) const {
        const std::uint64_t found = suffixes_[rank];
        if (found >= num_symbols_)
            throw DamagedFile("suffixes.bin", suffixes_.byte_of(rank), "a suffix outside of the stream");
        return found;
    }

    bool is_like_previous(std::uint64_t rank) const {
        if (rank + kAhead < num_tokens_) text_.prefetch(std::min(suffixes_[rank + kAhead], num_symbols_));
        const std::uint64_t a = position(rank - 1), b = position(rank);
        if (std::max(a, b) + length_ > num_symbols_) return false;
        for (std::uint64_t i = 0; i < length_; ++i) {
            const Symbol symbol = text_[a + i];
            if (symbol == 0 || symbol != text_[b + i]) return false;
        }
        return true;
    }

    void mark(std::uint64_t first, std::uint64_t stop) {
        std::uint64_t earliest = position(first);
        for (std::uint64_t rank = first; rank < stop; ++rank) earliest = std::min(earliest, position(rank));
        for (std::uint64_t rank = first; rank < stop; ++rank) {
            const std::uint64_t start = position(rank);
            repeated_.set(start);
            if (start != earliest) later_.set(start);
        }
    }

    Text text_;
    Packed suffixes_;
    std::uint64_t num_symbols_, num_tokens_, length_;
    Bits &repeated_, &later_;
};

std::vector<SymbolSpan> spans_of(const Bits& starts, std::uint64_t length) {
    std::vector<SymbolSpan> spans;
    for (std::uint64_t at = starts.next(0); at < starts.size(); at = starts.next(at + 1)) {
        if (!spans.empty() && at <= spans.back().stop)
            spans.back().stop = at + length;
        else
            spans.push_back({at, at + length});
    }
    return spans;
}

void check(const SuffixOrder& order, std::uint64_t length) {
    if (length == 0) throw std::invalid_argument("length must be at least 1 token");
    if (order.position_bits < 1 || order.position_bits > kMostPackedBits)
        throw std::invalid_argument("position_bits must be between 1 and 57");
    if (order.symbol_bytes < 1 || order.symbol_bytes > 4)
        throw std::invalid_argument("symbol_bytes must be 1, 2, 3 or 4");
    if (order.num_tokens > order.num_symbols) throw std::invalid_argument("more tokens than symbols");
    if (order.tokens.size() / static_cast<unsigned>(order.symbol_bytes) < order.num_symbols ||
        order.tokens.size() < order.num_symbols * static_cast<unsigned>(order.symbol_bytes) + kPaddingBytes)
        throw std::invalid_argument("tokens hold fewer bytes than num_symbols asks for");
    if (order.suffixes.size() / 8 * 64 / static_cast<unsigned>(order.position_bits) + 64 < order.num_tokens ||
        order.suffixes.size() < packed_bytes(order.num_tokens, order.position_bits))
        throw std::invalid_argument("suffixes hold fewer bytes than num_tokens asks for");
}

// `work(part)` for each part on a thread of its own; the first exception is thrown again here.
template <typename Work>
void in_parts(int parts, Work work) {
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(parts));
    std::vector<std::thread> threads;
    for (int part = 0; part < parts; ++part) {
        threads.emplace_back([&, part] {
            try {
                work(part);
            } catch (...) {
                errors[static_cast<std::size_t>(part)] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
}

}  // namespace

Repeats find_repeats(const SuffixOrder& order, std::uint64_t length, int threads) {
    check(order, length);
    if (length > order.num_symbols) return {};
    Bits repeated(order.num_symbols), later(order.num_symbols);
    const int parts = static_cast<int>(
        std::clamp<std::uint64_t>(order.num_tokens / 4096, 1, static_cast<unsigned>(std::max(threads, 1))));
    dispatch_width(order.symbol_bytes, order.tokens.data(), [&](auto text) {
        in_parts(parts, [&](int part) {
            const auto border = [&](int index) {
                return order.num_tokens / static_cast<unsigned>(parts) * static_cast<unsigned>(index);
            };
            const std::uint64_t stop = part + 1 == parts ? order.num_tokens : border(part + 1);
            Pass(order, text, length, repeated, later).run(border(part), stop);
        });
    });
    return {spans_of(repeated, length), spans_of(later, length)};
}

}  // namespace potstill
