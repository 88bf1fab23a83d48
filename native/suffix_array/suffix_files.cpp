#include "suffix_array/suffix_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "suffix_array/error.hpp"
#include "suffix_array/packed.hpp"

namespace potstill {
namespace {

constexpr std::uint64_t kZero = 0;

std::string of_range(const std::string& path, std::size_t number) {
    return number == 0 ? path : path + "." + std::to_string(number);
}

}  // namespace

SuffixFiles::SuffixFiles(std::string folder, const StreamShape& shape,
                         const std::vector<std::uint64_t>& counts, bool with_tables)
    : folder_(std::move(folder)),
      shape_(shape),
      has_tables_(with_tables),
      position_bits_(packed_bits(shape.num_symbols == 0 ? 0 : shape.num_symbols - 1)) {
    std::uint64_t rank = 0;
    for (std::size_t symbol = 1; symbol <= shape.vocab_size; ++symbol) {
        first_ranks_.push_back(rank);
        rank += counts[symbol];
    }
    first_ranks_.push_back(rank);
    OutputFile(path("suffixes.bin")).finish();
}

std::vector<Symbol> SuffixFiles::cuts(int count) const {
    std::vector<Symbol> symbols{1};
    for (int i = 1; i < count; ++i) {
        const std::uint64_t rank = num_tokens() / count * i;
        const auto found = std::lower_bound(first_ranks_.begin(), first_ranks_.end(), rank);
        const auto symbol = static_cast<Symbol>(found - first_ranks_.begin()) + 1;
        if (symbol > symbols.back() && symbol <= shape_.vocab_size) symbols.push_back(symbol);
    }
    symbols.push_back(shape_.vocab_size + 1);
    return symbols;
}

std::uint64_t SuffixFiles::join(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const {
    join_positions(ranges);
    if (!has_tables_) return 0;
    OutputFile unigrams(path("unigrams.bin"));
    unigrams.append(first_ranks_.data(), first_ranks_.size() * sizeof(std::uint64_t));
    unigrams.finish();
    join_bigrams(ranges);
    return write_rows(ranges);
}

void SuffixFiles::join_positions(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const {
    std::vector<SharedByte> shared;
    for (const auto& range : ranges)
        shared.insert(shared.end(), range->shared_bytes_.begin(), range->shared_bytes_.end());
    const std::string file = path("suffixes.bin");
    for (std::size_t i = 0; i < shared.size();) {
        SharedByte byte = shared[i];
        for (++i; i < shared.size() && shared[i].offset == byte.offset; ++i) byte.bits |= shared[i].bits;
        OutputFile out(file, byte.offset);
        out.append_number(byte.bits);
        out.finish();
    }
    OutputFile padding(file, packed_bytes(num_tokens(), position_bits_) - kPaddingBytes);
    padding.append_number(kZero);
    padding.finish();
}

void SuffixFiles::join_bigrams(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const {
    BigramWriter& all = *ranges[0]->bigrams_;
    for (std::size_t i = 1; i < ranges.size(); ++i) all.append_all(*ranges[i]->bigrams_);
    all.seconds_.append_number(kZero);
    all.finish();
}

std::uint64_t SuffixFiles::write_rows(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const {
    OutputFile rows(path("bigram_rows.bin"));
    std::uint64_t num_bigrams = 0;
    for (const auto& range : ranges) {
        for (const std::uint64_t size : range->row_sizes_) {
            rows.append_number(num_bigrams);
            num_bigrams += size;
        }
    }
    rows.append_number(num_bigrams);
    rows.finish();
    return num_bigrams;
}

BigramWriter::BigramWriter(const SuffixFiles& files, std::size_t number)
    : seconds_path_(of_range(files.path("bigram_seconds.bin"), number)),
      ranks_path_(of_range(files.path("bigram_ranks.bin"), number)),
      is_later_(number > 0),
      symbol_bytes_(files.shape().symbol_bytes),
      rank_bytes_(files.num_tokens() >> 32 == 0 ? 4 : 8),
      seconds_(seconds_path_),
      ranks_(ranks_path_) {}

BigramWriter::~BigramWriter() {
    if (!is_later_) return;
    unlink(seconds_path_.c_str());
    unlink(ranks_path_.c_str());
}

void BigramWriter::append_all(const BigramWriter& later) {
    seconds_.append_file(later.seconds_path_);
    ranks_.append_file(later.ranks_path_);
}

void BigramWriter::finish() {
    seconds_.finish();
    ranks_.finish();
}

SuffixRange::SuffixRange(const SuffixFiles& files, std::size_t number, Symbol first, Symbol stop)
    : files_(files),
      first_(first),
      stop_(stop),
      rank_(files.first_rank(first)),
      stop_rank_(files.first_rank(stop)),
      positions_(files.path("suffixes.bin"), files.position_bits(), rank_) {
    if (!files.has_tables()) return;
    bigrams_ = std::make_unique<BigramWriter>(files, number);
    row_sizes_.resize(stop - first);
}

void SuffixRange::begin_bigram(std::uint64_t bigram) {
    const auto first = static_cast<Symbol>(bigram >> 32);
    if (bigram < bigram_ || first < first_ || first >= stop_) refuse();
    bigram_ = bigram;
    if (!bigrams_) return;
    bigrams_->append(static_cast<Symbol>(bigram), rank_);
    ++row_sizes_[first - first_];
}

void SuffixRange::finish() {
    if (rank_ != stop_rank_) refuse();
    shared_bytes_ = positions_.finish();
    // The first range's bigrams are finished when the others' stand behind them.
    if (bigrams_ && first_ > 1) bigrams_->finish();
}

void SuffixRange::refuse() const {
    throw DamagedFile(
        files_.path("suffixes.bin"), 0,
        "cannot be written: the parts to merge do not hold every suffix of the stream once, in order");
}

}  // namespace potstill
