// The files of sorted and merged parts, byte for byte beside those written the slow way.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "suffix_array/build.hpp"
#include "suffix_array/likeness.hpp"
#include "suffix_array/packed.hpp"
#include "suffix_array/part.hpp"
#include "tests/check.hpp"
#include "tests/documents.hpp"
#include "tests/naive_segment.hpp"
#include "tests/temporary_folder.hpp"

namespace potstill {
namespace {

constexpr const char* kTables[] = {"unigrams.bin", "bigram_rows.bin", "bigram_seconds.bin",
                                   "bigram_ranks.bin"};

using Contents = std::map<std::string, std::string>;

Documents documents_of(const SymbolList& stream) {
    Documents documents(1);
    for (const Symbol symbol : stream) {
        if (symbol == 0) {
            documents.emplace_back();
        } else {
            documents.back().push_back(symbol - 1);
        }
    }
    documents.pop_back();
    return documents;
}

SymbolList stream_of(const Documents& documents) {
    SymbolList stream;
    for (const Document& document : documents) {
        for (const Token id : document) stream.push_back(id + 1);
        stream.push_back(0);
    }
    return stream;
}

// A store's tokens.bin in a folder of its own.
struct Written {
    TemporaryFolder folder;
    StreamShape shape;
    std::uint64_t num_documents;

    Written(const SymbolList& stream, std::uint32_t vocab_size, int width) {
        shape = {folder.file("tokens.bin"), width, stream.size(), vocab_size};
        num_documents = std::count(stream.begin(), stream.end(), 0u);
        const auto bytes = to_bytes(stream, width);
        std::ofstream(shape.path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()) + kPaddingBytes, bytes.size() - kPaddingBytes);
    }

    std::string content(const std::string& name) const {
        std::ostringstream content;
        content << std::ifstream(folder.file(name), std::ios::binary).rdbuf();
        return content.str();
    }
};

int narrowest(std::uint32_t vocab_size) { return vocab_size > 65535 ? 3 : vocab_size > 255 ? 2 : 1; }

void check_files(const Written& written, const Contents& expected, bool has_tables, const std::string& name) {
    std::vector<std::string> names{"suffixes.bin"};
    if (has_tables) names.insert(names.end(), std::begin(kTables), std::end(kTables));
    for (const std::string& file : names) {
        if (written.content(file) == expected.at(file)) continue;
        std::fprintf(stderr, "%s: %s is wrong\n", name.c_str(), file.c_str());
        std::exit(1);
    }
    CHECK(!std::filesystem::exists(written.folder.file("bigram_ranks.bin.1")));
}

// Sorts what lies between two cuts by itself, and merges all of them.
void check_cuts(const Written& written, const Contents& expected, const std::vector<std::uint64_t>& cuts,
                int threads, const std::string& name) {
    Work work;
    std::vector<std::unique_ptr<PartFile>> parts;
    SuffixLists lists;
    std::string all_cuts;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        const std::string number = std::to_string(i), path = written.folder.file("part" + number);
        sort_part(written.shape, cuts[i], cuts[i + 1], written.shape.num_symbols, path, work);
        lists.push_back(parts.emplace_back(std::make_unique<PartFile>(path, cuts[i])).get());
        all_cuts.append(1, ' ').append(std::to_string(cuts[i]));
    }
    merge_parts(written.folder.file("."), written.shape, written.num_documents, lists, true, threads,
                threads % 2 == 0 ? 0 : 1 << 30, work);
    check_files(written, expected, true, name + " cut at" + all_cuts);
}

void test_every_cut(const NamedStream& stream, int width, std::uint64_t step) {
    const Written written(stream.symbols, stream.vocab_size, width);
    const NaiveSegment naive(documents_of(stream.symbols), stream.vocab_size, width, true);
    for (const bool has_tables : {false, true}) {
        Work work;
        build_suffixes(written.folder.file("."), written.shape, written.num_documents, has_tables, 2, work);
        CHECK(work.done() == 4 * stream.symbols.size());
        check_files(written, naive.contents, has_tables, stream.name);
    }
    for (std::uint64_t cut = 0; cut <= stream.symbols.size(); cut += step)
        check_cuts(written, naive.contents, {0, cut, stream.symbols.size()}, 1 + static_cast<int>(cut % 3),
                   stream.name);
}

// Lists that agree for long, in every mixture of copies, periods and runs.
void test_many_parts_of_long_repeats() {
    std::mt19937 random(11);
    for (int round = 0; round < 60; ++round) {
        SymbolList stream;
        const auto phrase = random_stream(random, 2, 1 + random() % 400, 0.0);
        while (stream.size() < 3000) {
            const std::size_t length = random() % phrase.size();
            stream.insert(stream.end(), phrase.begin(), phrase.begin() + length);
            if (random() % 4 == 0) stream.insert(stream.end(), random() % 300, 1);
            if (random() % 8 == 0) stream.push_back(0);
        }
        stream.push_back(0);
        std::vector<std::uint64_t> cuts{0, stream.size()};
        for (int i = 0; i < 5; ++i) cuts.push_back(random() % stream.size());
        std::sort(cuts.begin(), cuts.end());
        const int width = 1 + round % 4;
        const Written written(stream, 2, width);
        check_cuts(written, NaiveSegment(documents_of(stream), 2, width, true).contents, cuts, 1 + round % 2,
                   "long repeats");
    }
}

void test_random_cuts() {
    std::mt19937 random(5);
    constexpr std::uint32_t kVocabs[] = {1, 2, 5, 255, 300, 70000};
    for (int round = 0; round < 60; ++round) {
        const std::uint32_t vocab_size = kVocabs[random() % std::size(kVocabs)];
        const int width = narrowest(vocab_size) + static_cast<int>(random() % 2);
        const std::size_t length = random() % 200 + 1;
        test_every_cut({"random " + std::to_string(round), vocab_size,
                        random_stream(random, vocab_size, length, round % 3 == 0 ? 0.3 : 0.03)},
                       width, 1 + length / 6);
    }
}

// Segments of which some documents are dropped, beside the segment of the others.
void test_kept_documents() {
    std::mt19937 random(7);
    for (int round = 0; round < 60; ++round) {
        const std::uint32_t vocab_size = round % 2 == 0 ? 3 : 300;
        std::vector<std::unique_ptr<Written>> segments;
        std::vector<std::unique_ptr<PackedFile>> lists;
        Documents joined;
        std::uint64_t new_first = 0;
        for (int number = 0; number < 3; ++number) {
            const auto stream = random_stream(random, vocab_size, random() % 100, 0.2);
            const NaiveSegment naive(documents_of(stream), vocab_size, 2, false);
            std::vector<KeptRun> kept;
            std::uint64_t first = 0;
            for (const Document& document : documents_of(stream)) {
                const std::uint64_t stop = first + document.size() + 1;
                if (random() % 3 != 0) {
                    kept.push_back({first, stop, new_first});
                    new_first += stop - first;
                    joined.push_back(document);
                }
                first = stop;
            }
            segments.push_back(std::make_unique<Written>(stream, vocab_size, 2));
            const std::string path = segments.back()->folder.file("suffixes.bin");
            std::ofstream(path, std::ios::binary) << naive.contents.at("suffixes.bin");
            lists.push_back(
                std::make_unique<PackedFile>(path, naive.shape.position_bits, naive.shape.num_tokens, kept));
        }
        const Written written(stream_of(joined), vocab_size, 2);
        Work work;
        merge_parts(written.folder.file("."), written.shape, written.num_documents,
                    {lists[0].get(), lists[1].get(), lists[2].get()}, true, 1 + round % 3, 0, work);
        check_files(written, NaiveSegment(joined, vocab_size, 2, true).contents, true, "kept documents");
    }
}

double likeness_of(const SymbolList& first, const SymbolList& second) {
    SymbolList stream = first;
    stream.insert(stream.end(), second.begin(), second.end());
    const auto bytes = to_bytes(stream, 2);
    return likeness(Symbols<2>{bytes.data() + kPaddingBytes}, 0, first.size(), stream.size());
}

void test_copies_are_told_from_other_text() {
    std::mt19937 random(4);
    const auto one = random_stream(random, 900, 40000, 0.01), other = random_stream(random, 900, 40000, 0.01);
    CHECK(likeness_of(one, other) == 0);
    CHECK(likeness_of(one, one) == 1);
    SymbolList half(one.begin(), one.begin() + 20000);
    half.insert(half.end(), other.begin(), other.begin() + 20000);
    CHECK(std::abs(likeness_of(one, half) - 0.5) < 0.05);
    CHECK(likeness_of(one, {1, 2, 0}) == 0 && likeness_of({}, one) == 0);
}

// With copies of `num_copied` of its symbols, on both sides of every cut.
void check_threads(std::size_t num_copied) {
    std::mt19937 random(9);
    auto stream = random_stream(random, 40, 400000, 0.01);
    const SymbolList copied(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(num_copied));
    stream.insert(stream.end(), copied.begin(), copied.end());
    stream.push_back(0);
    const Written alone(stream, 40, 1), together(stream, 40, 1);
    Work work;
    build_suffixes(alone.folder.file("."), alone.shape, alone.num_documents, true, 1, work);
    build_suffixes(together.folder.file("."), together.shape, together.num_documents, true, 3, work);
    CHECK(alone.content("suffixes.bin") == together.content("suffixes.bin"));
    for (const char* table : kTables) CHECK(alone.content(table) == together.content(table));
}

void test_threads_write_the_same() {
    // Few copies are merged, many are sorted at once.
    check_threads(60000);
    check_threads(400000);
}

void test_wrong_files_are_named() {
    const SymbolList stream{1, 2, 0, 3, 1, 0};
    const Written written(stream, 3, 1);
    const std::string folder = written.folder.file("."), part = written.folder.file("part");
    const auto build = [&](StreamShape shape, std::uint64_t num_documents) {
        Work work;
        return build_suffixes(folder, shape, num_documents, true, 1, work);
    };
    StreamShape longer = written.shape, smaller = written.shape, wider = written.shape;
    longer.num_symbols = 7;
    CHECK_THROWS(build(longer, 2), DamagedFile);
    CHECK_THROWS(build(written.shape, 3), DamagedFile);
    smaller.vocab_size = 2;
    CHECK_THROWS(build(smaller, 2), DamagedFile);
    wider.symbol_bytes = 5;
    CHECK_THROWS(build(wider, 2), std::invalid_argument);
    const auto merge = [&](const std::vector<std::uint32_t>& entries) {
        std::ofstream(part, std::ios::binary)
            .write(reinterpret_cast<const char*>(entries.data()), entries.size() * 4);
        const PartFile list(part, 0);
        Work work;
        return merge_parts(folder, written.shape, 2, {&list}, true, 1, 0, work);
    };
    CHECK(merge({4, 0, 1, 3}) == 4);
    CHECK_THROWS(merge({4, 0, 1}), DamagedFile);
    CHECK_THROWS(merge({4, 0, 1, 3, 3}), DamagedFile);
    CHECK_THROWS(merge({4, 1, 0, 3}), DamagedFile);
    CHECK_THROWS(merge({4, 0, 1, 2}), DamagedFile);
    CHECK_THROWS(merge({4, 0, 1, 99}), DamagedFile);
    Work work;
    CHECK_THROWS(sort_part(written.shape, 3, 7, 10, part, work), std::invalid_argument);
    CHECK_THROWS(sort_part(written.shape, 0, 2, 1, part, work), PartTooLarge);
}

}  // namespace

void test_suffix_merge() {
    for (const NamedStream& stream : hard_streams())
        test_every_cut(stream, narrowest(stream.vocab_size), 1 + stream.symbols.size() / 12);
    test_random_cuts();
    test_many_parts_of_long_repeats();
    test_kept_documents();
    test_copies_are_told_from_other_text();
    test_threads_write_the_same();
    test_wrong_files_are_named();
}

}  // namespace potstill
