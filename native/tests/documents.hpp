// Streams of documents that are hard to sort, and the order that a plain sort gives them.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace potstill {

// Symbols, 0 at the end of each document.
using SymbolList = std::vector<std::uint32_t>;

struct NamedStream {
    std::string name;
    std::uint32_t vocab_size;
    SymbolList symbols;
};

// Repeats, periods, Fibonacci words, empty documents, equal documents, one token.
std::vector<NamedStream> hard_streams();

SymbolList random_stream(std::mt19937& random, std::uint32_t vocab_size, std::size_t num_symbols,
                         double end_rate);

// The positions of the tokens, ordered by what follows them up to their document's end, then by position.
std::vector<std::uint64_t> sort_plainly(const SymbolList& stream);

// At `width` bytes a symbol, with 8 zero bytes before and after.
std::vector<unsigned char> to_bytes(const SymbolList& stream, int width);

}  // namespace potstill
