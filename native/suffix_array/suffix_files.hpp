// What a segment's suffixes are written to: the packed positions, and the tables of one token and of two.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "suffix_array/file.hpp"
#include "suffix_array/packed_writer.hpp"
#include "suffix_array/stream.hpp"

namespace potstill {

class SuffixRange;

// The files of one segment. Ranges of first symbols are written side by side, and then joined.
class SuffixFiles {
  public:
    // counts [vocab_size + 1]: how often each symbol stands in the stream.
    SuffixFiles(std::string folder, const StreamShape& shape, const std::vector<std::uint64_t>& counts,
                bool with_tables);

    const StreamShape& shape() const { return shape_; }
    bool has_tables() const { return has_tables_; }
    int position_bits() const { return position_bits_; }
    std::uint64_t num_tokens() const { return first_ranks_.back(); }
    // The first rank of the suffixes that begin with a symbol, from 1 to vocab_size + 1.
    std::uint64_t first_rank(Symbol symbol) const { return first_ranks_[symbol - 1]; }
    // Symbols 1 .. vocab_size + 1 at which to cut the suffixes into `count` ranges of about one size.
    std::vector<Symbol> cuts(int count) const;
    std::string path(const std::string& name) const { return folder_ + "/" + name; }

    // Everything that needs all ranges. Returns how many bigrams there are, 0 without tables.
    std::uint64_t join(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const;

  private:
    void join_positions(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const;
    void join_bigrams(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const;
    std::uint64_t write_rows(const std::vector<std::unique_ptr<SuffixRange>>& ranges) const;

    std::string folder_;
    StreamShape shape_;
    bool has_tables_;
    int position_bits_;
    std::vector<std::uint64_t> first_ranks_;  // [vocab_size + 1]
};

// Bigrams in order: the second symbol of each, and its first rank.
class BigramWriter {
  public:
    // A `number` above 0 is that of a later range, whose files are joined to the first one's.
    BigramWriter(const SuffixFiles& files, std::size_t number);
    ~BigramWriter();
    BigramWriter(const BigramWriter&) = delete;
    BigramWriter& operator=(const BigramWriter&) = delete;

    void append(Symbol second, std::uint64_t rank) {
        seconds_.append(&second, symbol_bytes_);
        ranks_.append(&rank, rank_bytes_);
    }
    // Those of a later range, which has finished.
    void append_all(const BigramWriter& later);
    void finish();

  private:
    friend class SuffixFiles;
    std::string seconds_path_, ranks_path_;
    bool is_later_;
    std::size_t symbol_bytes_, rank_bytes_;
    OutputFile seconds_, ranks_;
};

// The suffixes that begin with the symbols first .. stop - 1, in order.
class SuffixRange {
  public:
    SuffixRange(const SuffixFiles& files, std::size_t number, Symbol first, Symbol stop);

    // `first` and `second` are the first two symbols of the suffix.
    void append(std::uint64_t position, Symbol first, Symbol second) {
        const std::uint64_t bigram = std::uint64_t{first} << 32 | second;
        if (bigram != bigram_) begin_bigram(bigram);
        positions_.append(position);
        ++rank_;
    }

    // Throws DamagedFile unless it was given as many suffixes as the stream has.
    void finish();

  private:
    friend class SuffixFiles;
    void begin_bigram(std::uint64_t bigram);
    [[noreturn]] void refuse() const;

    const SuffixFiles& files_;
    Symbol first_, stop_;
    std::uint64_t rank_, stop_rank_;
    std::uint64_t bigram_ = 0;
    PackedWriter positions_;
    std::vector<SharedByte> shared_bytes_;
    std::unique_ptr<BigramWriter> bigrams_;
    std::vector<std::uint64_t> row_sizes_;  // bigrams of each symbol from first_ on
};

}  // namespace potstill
