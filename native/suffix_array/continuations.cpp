#include "suffix_array/continuations.hpp"

#include <algorithm>
#include <utility>

#include "suffix_array/probes.hpp"

namespace potstill {
namespace {

// As many suffixes a round should look at to be worth its wait for memory.
constexpr std::uint64_t kEnough = 16;

// Neighbouring ranks whose symbols are known; the suffix `last` belongs to the next interval.
struct Interval {
    const ContextRange* context;
    std::uint64_t first;
    std::uint64_t last;
    Symbol first_symbol;
    Symbol last_symbol;

    std::uint64_t inside() const { return last - first - 1; }
    bool is_open() const { return first_symbol != last_symbol && inside() > 0; }
};

class Splitting {
  public:
    Splitting(std::uint64_t depth, std::uint64_t budget)
        : depth_(depth), left_(budget), has_limit_(budget > 0) {}

    void run(std::span<const ContextRange> ranges) {
        begin(ranges);
        while (!open_.empty() && (!has_limit_ || left_ > 0)) split();
        for (const Interval& interval : open_) {
            count(interval, interval.first_symbol, 1);
            found_.unresolved += interval.inside();
        }
    }

    Continuations take() {
        auto& counts = found_.counts;
        std::sort(counts.begin(), counts.end(),
                  [](const Continuation& a, const Continuation& b) { return a.symbol < b.symbol; });
        std::size_t kept = 0;
        for (std::size_t i = 0; i < counts.size();) {
            Continuation sum{counts[i].symbol, 0};
            for (; i < counts.size() && counts[i].symbol == sum.symbol; ++i) sum.count += counts[i].count;
            if (sum.count > 0) counts[kept++] = sum;
        }
        counts.resize(kept);
        return std::move(found_);
    }

    void count(const Interval& interval, Symbol symbol, std::uint64_t occurrences) {
        add(symbol, interval.context->sign * static_cast<std::int64_t>(occurrences));
    }
    void add(Symbol symbol, std::int64_t occurrences) { found_.counts.push_back({symbol, occurrences}); }

  private:
    // The first and the last suffix of each range.
    void begin(std::span<const ContextRange> ranges) {
        probes_.clear();
        std::vector<const ContextRange*> started;
        for (const ContextRange& context : ranges) {
            if (context.range.is_empty()) continue;
            if (!spend(2)) {
                found_.unresolved += context.range.size();
                continue;
            }
            started.push_back(&context);
            probes_.push_back({context.segment, context.range.lo, depth_});
            probes_.push_back({context.segment, context.range.hi - 1, depth_});
        }
        read_symbols(probes_);
        for (std::size_t i = 0; i < started.size(); ++i) {
            const Range range = started[i]->range;
            const Symbol last = probes_[2 * i + 1].symbol;
            const Interval whole{started[i], range.lo, range.hi - 1, probes_[2 * i].symbol, last};
            if (range.size() > 1) keep(whole);
            count(whole, last, 1);
        }
    }

    bool spend(std::uint64_t probes) {
        if (!has_limit_) return true;
        if (left_ < probes) return false;
        left_ -= probes;
        return true;
    }

    // Counts an interval that one symbol fills, or that has no suffix inside; keeps the others.
    void keep(const Interval& interval) {
        if (interval.is_open()) {
            open_.push_back(interval);
        } else {
            count(interval, interval.first_symbol, interval.last - interval.first);
        }
    }

    // Few intervals are cut into many parts each, so that a round is worth its wait.
    std::uint64_t cuts(const Interval& interval) const {
        return std::min(interval.inside(), std::max<std::uint64_t>(1, kEnough / parts_));
    }

    void split() {
        std::swap(open_, round_);
        open_.clear();
        parts_ = round_.size();
        if (has_limit_) leave_the_narrow();
        probes_.clear();
        for (const Interval& interval : round_) {
            const std::uint64_t parts = cuts(interval) + 1;
            const std::uint64_t inside = interval.inside();
            for (std::uint64_t i = 1; i < parts; ++i) {
                const std::uint64_t step =
                    inside < parts ? i - 1 : inside / parts * i + inside % parts * i / parts;
                probes_.push_back({interval.context->segment, interval.first + 1 + step, depth_});
            }
        }
        read_symbols(probes_);
        std::size_t next = 0;
        for (const Interval& interval : round_) next = divide(interval, next);
    }

    std::size_t divide(Interval rest, std::size_t next) {
        for (std::uint64_t n = cuts(rest); n > 0; --n, ++next) {
            const Probe& probe = probes_[next];
            keep({rest.context, rest.first, probe.rank, rest.first_symbol, probe.symbol});
            rest.first = probe.rank;
            rest.first_symbol = probe.symbol;
        }
        keep(rest);
        return next;
    }

    void leave_the_narrow() {
        std::sort(round_.begin(), round_.end(),
                  [](const Interval& a, const Interval& b) { return a.inside() > b.inside(); });
        std::size_t taken = 0;
        while (taken < round_.size() && spend(cuts(round_[taken]))) ++taken;
        open_.assign(round_.begin() + static_cast<std::ptrdiff_t>(taken), round_.end());
        round_.resize(taken);
        // What is left over is not enough for the widest: it stays unspent.
        if (taken == 0) left_ = 0;
    }

    std::uint64_t depth_;
    std::uint64_t left_;
    bool has_limit_;
    std::uint64_t parts_ = 1;
    std::vector<Interval> open_, round_;
    std::vector<Probe> probes_;
    Continuations found_;
};

// After nothing: how often each token occurs.
void count_tokens(const ContextRange& context, Splitting& splitting) {
    for (Token id = 0; id < context.segment->shape().vocab_size; ++id) {
        const Range range = context.segment->unigram(id);
        if (range.is_empty()) continue;
        splitting.add(symbol_of(id), context.sign * static_cast<std::int64_t>(range.size()));
    }
}

// After one token: its row of bigrams.
void count_row(const ContextRange& context, Token first, Splitting& splitting) {
    const Range row = context.segment->bigram_row(first);
    context.segment->dispatch([&]<int Width>(const Text<Width>&) {
        const Text<Width> seconds = context.segment->bigram_seconds<Width>();
        for (std::uint64_t bigram = row.lo; bigram < row.hi; ++bigram) {
            const Range range = context.segment->bigram_range(first, bigram);
            splitting.add(seconds.at(bigram), context.sign * static_cast<std::int64_t>(range.size()));
        }
    });
}

}  // namespace

Continuations continuations(std::span<const ContextRange> ranges, std::span<const Token> context,
                            std::uint64_t budget) {
    Splitting splitting(context.size(), budget);
    std::vector<ContextRange> searched;
    for (const ContextRange& range : ranges) {
        if (context.empty() && range.segment->has_tables()) {
            count_tokens(range, splitting);
        } else if (context.size() == 1 && range.segment->has_tables()) {
            count_row(range, context[0], splitting);
        } else {
            searched.push_back(range);
        }
    }
    splitting.run(searched);
    return splitting.take();
}

}  // namespace potstill
