#include "tests/documents.hpp"

#include <algorithm>
#include <numeric>

#include "suffix_array/symbols.hpp"

namespace potstill {
namespace {

SymbolList repeated(const SymbolList& part, std::size_t times) {
    SymbolList stream;
    for (std::size_t i = 0; i < times; ++i) stream.insert(stream.end(), part.begin(), part.end());
    return stream;
}

SymbolList fibonacci(std::size_t length) {
    SymbolList before{2}, word{2, 1};
    while (word.size() < length) {
        SymbolList next = word;
        next.insert(next.end(), before.begin(), before.end());
        before = std::move(word);
        word = std::move(next);
    }
    word.push_back(0);
    return word;
}

SymbolList ended(SymbolList stream) {
    stream.push_back(0);
    return stream;
}

}  // namespace

std::vector<NamedStream> hard_streams() {
    std::vector<NamedStream> streams{
        {"nothing", 3, {}},
        {"one empty document", 3, {0}},
        {"only empty documents", 3, {0, 0, 0, 0, 0}},
        {"one token", 3, {2, 0}},
        {"single tokens", 3, {2, 0, 1, 0, 2, 0, 1, 0, 3, 0}},
        {"single tokens between empty documents", 3, {0, 0, 2, 0, 0, 1, 0, 2, 0, 0, 0}},
        {"one symbol only", 1, ended(repeated({1}, 100))},
        {"equal documents of one symbol", 1, repeated({1, 1, 1, 0}, 20)},
        {"rising runs", 9, {1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0}},
        {"equal documents", 9, repeated({3, 1, 2, 3, 1, 2, 9, 0}, 25)},
        {"rising", 9, ended({1, 2, 3, 4, 5, 6, 7, 8, 9})},
        {"falling", 9, ended({9, 8, 7, 6, 5, 4, 3, 2, 1})},
        {"fibonacci", 2, fibonacci(600)},
        {"largest 1-byte symbol", 255, repeated({255, 1, 255, 255, 0}, 5)},
    };
    for (std::size_t period = 2; period < 7; ++period) {
        SymbolList part(period);
        std::iota(part.rbegin(), part.rend(), 1);
        streams.push_back({"period " + std::to_string(period), 9, ended(repeated(part, 60))});
    }
    return streams;
}

SymbolList random_stream(std::mt19937& random, std::uint32_t vocab_size, std::size_t num_symbols,
                         double end_rate) {
    std::uniform_int_distribution<std::uint32_t> token(1, vocab_size);
    std::bernoulli_distribution ends(end_rate);
    SymbolList stream(num_symbols);
    for (auto& symbol : stream) symbol = ends(random) ? 0 : token(random);
    // A copy of an earlier stretch makes repeats that a random alphabet does not have.
    if (num_symbols > 8 && random() % 2 == 0) {
        const std::size_t length = random() % (num_symbols / 2);
        const std::size_t from = random() % (num_symbols - length);
        const std::size_t to = random() % (num_symbols - length);
        const SymbolList copied(stream.begin() + from, stream.begin() + from + length);
        std::copy(copied.begin(), copied.end(), stream.begin() + to);
    }
    if (!stream.empty()) stream.back() = 0;
    return stream;
}

std::vector<std::uint64_t> sort_plainly(const SymbolList& stream) {
    std::vector<std::uint64_t> positions;
    for (std::size_t p = 0; p < stream.size(); ++p) {
        if (stream[p] != 0) positions.push_back(p);
    }
    std::sort(positions.begin(), positions.end(), [&](std::uint64_t a, std::uint64_t b) {
        for (std::size_t k = 0;; ++k) {
            const std::uint32_t x = stream[a + k], y = stream[b + k];
            if (x != y) return x < y;
            if (x == 0) return a < b;
        }
    });
    return positions;
}

std::vector<unsigned char> to_bytes(const SymbolList& stream, int width) {
    std::vector<unsigned char> bytes(kPaddingBytes, 0);
    for (const std::uint32_t symbol : stream) {
        for (int i = 0; i < width; ++i) bytes.push_back(static_cast<unsigned char>(symbol >> (8 * i)));
    }
    bytes.resize(bytes.size() + kPaddingBytes, 0);
    return bytes;
}

}  // namespace potstill
