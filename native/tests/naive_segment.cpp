#include "tests/naive_segment.hpp"

#include <algorithm>
#include <fstream>
#include <utility>

#include "suffix_array/packed.hpp"

namespace potstill {
namespace {

void append(std::string& bytes, std::uint64_t number, int width) {
    for (int i = 0; i < width; ++i) bytes.push_back(static_cast<char>(number >> (8 * i)));
}

std::string pack(const std::vector<std::uint64_t>& numbers, int bits) {
    std::string bytes(packed_bytes(numbers.size(), bits), '\0');
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        for (int b = 0; b < bits; ++b) {
            const std::size_t bit = i * static_cast<std::size_t>(bits) + static_cast<std::size_t>(b);
            if (numbers[i] >> b & 1) bytes[bit / 8] = static_cast<char>(bytes[bit / 8] | 1 << bit % 8);
        }
    }
    return bytes;
}

// Positions of tokens, by the symbols from there to the document's end, then by position.
std::vector<std::uint64_t> sorted_suffixes(const std::vector<Symbol>& symbols) {
    std::vector<std::uint64_t> positions;
    for (std::uint64_t at = 0; at < symbols.size(); ++at) {
        if (symbols[at] != 0) positions.push_back(at);
    }
    std::sort(positions.begin(), positions.end(), [&](std::uint64_t a, std::uint64_t b) {
        for (std::uint64_t i = 0;; ++i) {
            if (symbols[a + i] != symbols[b + i]) return symbols[a + i] < symbols[b + i];
            if (symbols[a + i] == 0) return a < b;
        }
    });
    return positions;
}

}  // namespace

NaiveSegment::NaiveSegment(const Documents& documents, std::uint32_t vocab_size, int symbol_bytes,
                           bool has_tables) {
    std::vector<Symbol> symbols;
    std::string& rows = contents["documents.bin"];
    const auto add_row = [&] {
        append(rows, symbols.size(), 8);
        rows.append(16, '\0');
    };
    for (const Document& document : documents) {
        add_row();
        for (const Token id : document) symbols.push_back(symbol_of(id));
        symbols.push_back(0);
    }
    add_row();
    const std::vector<std::uint64_t> ranked = sorted_suffixes(symbols);
    const int bits = packed_bits(symbols.empty() ? 0 : symbols.size() - 1);
    shape = {symbol_bytes, symbols.size(), ranked.size(), documents.size(), vocab_size, bits, std::nullopt};
    for (const Symbol symbol : symbols) append(contents["tokens.bin"], symbol, symbol_bytes);
    contents["tokens.bin"].append(8, '\0');
    contents["suffixes.bin"] = pack(ranked, bits);
    if (has_tables) add_tables(symbols, ranked);
}

void NaiveSegment::add_tables(const std::vector<Symbol>& symbols, const std::vector<std::uint64_t>& ranked) {
    std::uint64_t num_bigrams = 0;
    std::vector<std::uint64_t> unigrams(shape.vocab_size + std::uint64_t{1}), rows(unigrams.size());
    for (std::uint64_t rank = 0; rank < ranked.size(); ++rank) {
        const Symbol first = symbols[ranked[rank]], second = symbols[ranked[rank] + 1];
        ++unigrams[first];
        if (rank > 0 && symbols[ranked[rank - 1]] == first && symbols[ranked[rank - 1] + 1] == second)
            continue;
        ++rows[first];
        ++num_bigrams;
        append(contents["bigram_seconds.bin"], second, shape.symbol_bytes);
        append(contents["bigram_ranks.bin"], rank, 4);
    }
    contents["bigram_seconds.bin"].append(8, '\0');
    contents["bigram_ranks.bin"];
    for (std::size_t id = 0; id < rows.size(); ++id) {
        if (id > 0) unigrams[id] += unigrams[id - 1];
        if (id > 0) rows[id] += rows[id - 1];
        append(contents["unigrams.bin"], unigrams[id], 8);
        append(contents["bigram_rows.bin"], rows[id], 8);
    }
    shape.num_bigrams = num_bigrams;
}

std::shared_ptr<const Segment> NaiveSegment::open() const { return open_as(*this); }

std::shared_ptr<const Segment> NaiveSegment::open_as(const NaiveSegment& recorded) const {
    Segment::Files files;
    for (const auto& [name, content] : contents) {
        if (disk_->contents.contains(name) && disk_->contents[name] == content) continue;
        std::ofstream(disk_->folder.file(name), std::ios::binary) << content;
        disk_->contents[name] = content;
    }
    for (const auto& [name, content] : recorded.contents) {
        FileRecord& record = files[name];
        record.bytes = content.size();
        for (std::size_t at = 0; at < content.size(); at += kChecksumBlock) {
            record.checksums.push_back(
                crc32c(content.data() + at, std::min(kChecksumBlock, content.size() - at)));
        }
    }
    return std::make_shared<Segment>(disk_->folder.file("."), recorded.shape, std::move(files));
}

std::int64_t naive_count(const Documents& documents, const Document& query) {
    std::int64_t count = 0;
    for (const Document& document : documents) {
        if (query.empty()) count += static_cast<std::int64_t>(document.size());
        for (std::size_t at = 0; !query.empty() && at + query.size() <= document.size(); ++at) {
            count +=
                std::equal(query.begin(), query.end(), document.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }
    return count;
}

std::map<Symbol, std::int64_t> naive_next(const Documents& documents, const Document& context) {
    std::map<Symbol, std::int64_t> counts;
    for (const Document& document : documents) {
        for (std::size_t at = 0; at + context.size() <= document.size(); ++at) {
            const auto first = document.begin() + static_cast<std::ptrdiff_t>(at);
            if (!std::equal(context.begin(), context.end(), first)) continue;
            const bool is_end = at + context.size() == document.size();
            if (is_end && context.empty()) continue;
            ++counts[is_end ? 0 : symbol_of(document[at + context.size()])];
        }
    }
    return counts;
}

}  // namespace potstill
