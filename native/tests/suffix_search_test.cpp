#include <algorithm>
#include <optional>
#include <random>
#include <stdexcept>

#include "suffix_array/error.hpp"
#include "suffix_array/places.hpp"
#include "suffix_array/reader.hpp"
#include "suffix_array/state.hpp"
#include "suffix_array/verify.hpp"
#include "tests/check.hpp"
#include "tests/naive_segment.hpp"

namespace potstill {
namespace {

using Generator = std::mt19937_64;

std::uint64_t below(Generator& random, std::uint64_t limit) { return random() % limit; }

Document random_document(Generator& random, std::uint64_t num_ids, std::uint64_t most) {
    Document document(below(random, most + 1));
    const bool is_repeated = below(random, 4) == 0;
    for (Token& id : document) id = static_cast<Token>(is_repeated ? 0 : below(random, num_ids));
    return document;
}

Documents random_documents(Generator& random, std::uint64_t num_ids) {
    Documents documents;
    for (std::uint64_t i = below(random, 7); i > 0; --i) {
        const bool is_copy = !documents.empty() && below(random, 3) == 0;
        documents.push_back(is_copy ? documents[below(random, documents.size())]
                                    : random_document(random, num_ids, 30));
    }
    return documents;
}

// Documents in up to three segments, and some of them again in negative ones.
struct Collection {
    Documents live;
    std::shared_ptr<const Reader> reader;

    Collection(Generator& random, std::uint32_t vocab_size, std::uint64_t num_ids, int width) {
        std::vector<std::shared_ptr<const Segment>> segments;
        std::vector<int> signs;
        const bool has_tables = below(random, 3) > 0;
        const auto add = [&](const Documents& documents, int sign) {
            segments.push_back(NaiveSegment(documents, vocab_size, width, has_tables).open());
            Work work;
            verify(*segments.back(), work);
            signs.push_back(sign);
        };
        for (std::uint64_t i = 1 + below(random, 3); i > 0; --i) {
            const Documents documents = random_documents(random, num_ids);
            Documents deleted;
            for (const Document& document : documents) {
                (below(random, 4) == 0 ? deleted : live).push_back(document);
            }
            add(documents, 1);
            if (!deleted.empty()) add(deleted, -1);
        }
        reader = std::make_shared<const Reader>(segments, signs);
    }

    Document longest_suffix(Document context) const {
        while (!context.empty() && naive_count(live, context) == 0) context.erase(context.begin());
        return context;
    }
};

void check_next(const Collection& collection, const Document& context, const Distribution& found) {
    const auto wanted = naive_next(collection.live, context);
    CHECK(found.unresolved == 0 && found.tokens.size() == wanted.size());
    for (std::size_t i = 0; i < found.tokens.size(); ++i) {
        const bool is_end = found.tokens[i] == collection.reader->vocab_size();
        const auto symbol = is_end ? 0 : static_cast<Symbol>(found.tokens[i] + 1);
        CHECK(wanted.contains(symbol) && wanted.at(symbol) == found.counts[i]);
    }
}

void check_score(const Collection& collection, const Document& before, Token id, const Score& score) {
    Document suffix = collection.longest_suffix(before);
    CHECK(score.suffix_len == suffix.size());
    CHECK(score.context_count == naive_count(collection.live, suffix));
    CHECK(score.is_sparse == (naive_next(collection.live, suffix).size() == 1));
    suffix.push_back(id);
    CHECK(score.count == naive_count(collection.live, suffix));
}

void check_text(const Collection& collection, const Document& text) {
    const auto& [live, reader] = collection;
    const std::vector<Score> scores = reader->score(text, UINT64_MAX, 2);
    const std::vector<std::uint64_t> longest = reader->longest_matches(text, 1);
    State state(reader);
    Document before;
    for (std::size_t i = 0; i < text.size(); ++i) {
        check_score(collection, before, text[i], scores[i]);
        const auto at = text.begin() + static_cast<std::ptrdiff_t>(i);
        const auto length = static_cast<std::ptrdiff_t>(longest[i]);
        CHECK(longest[i] == 0 || naive_count(live, {at, at + length}) > 0);
        CHECK(i + longest[i] == text.size() || naive_count(live, {at, at + length + 1}) == 0);
        before.push_back(text[i]);
        state.extend(text[i]);
        const Document suffix = collection.longest_suffix(before);
        CHECK(state.suffix_len() == suffix.size() && state.count() == naive_count(live, suffix));
        check_next(collection, suffix, state.next(0));
        const std::vector<std::int64_t> starts{0, static_cast<std::int64_t>(before.size())};
        before.pop_back();
        check_score(collection, before, text[i], reader->score_last({{text.data(), i + 1}, starts}, 1)[0]);
        before.push_back(text[i]);
    }
}

void test_answers_equal_a_scan() {
    Generator random(7);
    for (int round = 0; round < 60; ++round) {
        const std::uint32_t vocab_size = std::vector<std::uint32_t>{2, 4, 255, 256, 70000}[below(random, 5)];
        const std::uint64_t num_ids = std::min<std::uint64_t>(vocab_size, 2 + below(random, 5));
        const int least = vocab_size < 256 ? 1 : vocab_size < 65536 ? 2 : 3;
        const int width = least + static_cast<int>(below(random, static_cast<std::uint64_t>(5 - least)));
        const Collection collection(random, vocab_size, num_ids, width);
        std::vector<Token> ids;
        std::vector<std::int64_t> starts{0}, wanted;
        for (int q = 0; q < 30; ++q) {
            const Document query = random_document(random, num_ids, 6);
            wanted.push_back(naive_count(collection.live, query));
            CHECK(collection.reader->count(query) == wanted.back());
            check_next(collection, query, collection.reader->next(query, 0));
            ids.insert(ids.end(), query.begin(), query.end());
            starts.push_back(static_cast<std::int64_t>(ids.size()));
        }
        CHECK(collection.reader->count(Ragged{ids, starts}, 2) == wanted);
        check_text(collection, random_document(random, num_ids, 40));
    }
}

// Files of several blocks, and runs longer than any that is compared in one piece.
void test_long_runs() {
    Generator random(3);
    Document document(40000);
    for (Token& id : document) id = static_cast<Token>(below(random, 900));
    const Document tail(document.begin() + 100, document.end());
    const auto segment = NaiveSegment({document, tail, {}, {1, 2}}, 900, 3, true).open();
    Work work;
    verify(*segment, work);
    CHECK(work.done() > 500000);
    const Reader reader({segment}, {1});
    CHECK(reader.count(document) == 1 && reader.count(tail) == 2);
    Document text = document;
    text[20000] = (text[20000] + 1) % 900;
    const auto longest = reader.longest_matches(text, 2);
    CHECK(longest[0] == 20000 && longest[19000] == 1000 && longest[20001] == 19999);
    const auto spans = reader.spans(text, 100, 1);
    CHECK(spans.size() == 2 && spans[0].count == 1 && spans[1].count == 2);
    const auto scores = reader.score(text, UINT64_MAX, 1);
    CHECK(scores[19999].suffix_len == 19999 && scores[20000].count == 0);
    CHECK(reader.score(text, 50, 1)[19999].suffix_len == 50);
}

void ask_everything(const std::shared_ptr<const Segment>& segment, const Document& text) {
    const auto reader = std::make_shared<const Reader>(std::vector{segment, segment}, std::vector{1, 1});
    const std::vector<std::int64_t> starts{0, static_cast<std::int64_t>(text.size())};
    const auto ask = [](auto&& question) {
        try {
            question();
        } catch (const DamagedFile&) {
        }
    };
    for (std::size_t n = 0; n < text.size(); ++n) {
        ask([&] { reader->count(Query(text).last(n)); });
        ask([&] { reader->next(Query(text).last(n), 0); });
        ask([&] { reader->next(Query(text).last(n), 3); });
    }
    ask([&] { reader->count(Ragged{text, starts}, 1); });
    ask([&] { reader->score(text, 5, 1); });
    ask([&] { reader->spans(text, 1, 1); });
    ask([&] { reader->score_last({text, starts}, 1); });
    ask([&] { documents(*segment, positions(*segment, {0, segment->num_tokens()})); });
    ask([&] { symbols(*segment, {0, segment->shape().num_symbols}); });
    ask([&] {
        State state(reader);
        for (const Token id : text) state.extend(id);
    });
    ask([&] {
        Work work;
        verify(*segment, work);
    });
}

// Right checksums over anything at all: refused or answered somehow, but nothing outside is read.
void test_hostile_files() {
    Generator random(11);
    for (int round = 0; round < 150; ++round) {
        const std::uint64_t num_ids = 2 + below(random, 5);
        NaiveSegment naive(random_documents(random, num_ids), 7, 1 + round % 4, round % 5 > 0);
        for (auto& [name, content] : naive.contents) {
            const bool is_table = name == "unigrams.bin" || name == "bigram_rows.bin";
            if (below(random, 2) == 0 || (is_table && below(random, 5) > 0)) continue;
            for (char& byte : content) byte = static_cast<char>(random());
        }
        try {
            Document text = random_document(random, num_ids, 20);
            text.push_back(0);
            ask_everything(naive.open(), text);
        } catch (const DamagedFile&) {
        }
    }
}

void test_damage_is_found() {
    const NaiveSegment naive({{1, 2, 1, 2, 0}, {}, {2}}, 3, 1, true);
    for (const auto& [name, content] : naive.contents) {
        for (std::size_t bit = 0; bit < content.size() * 8; ++bit) {
            NaiveSegment damaged = naive;
            damaged.contents[name][bit / 8] = static_cast<char>(content[bit / 8] ^ 1 << bit % 8);
            Work work;
            CHECK_THROWS(verify(*damaged.open_as(naive), work), DamagedFile);
        }
        for (std::size_t size = 0; size < content.size(); ++size) {
            NaiveSegment cut = naive;
            cut.contents[name].resize(size);
            CHECK_THROWS(cut.open_as(naive), DamagedFile);
            CHECK_THROWS(cut.open(), DamagedFile);
        }
        NaiveSegment longer = naive;
        longer.contents[name].push_back('\0');
        CHECK_THROWS(longer.open_as(naive), DamagedFile);
    }
}

// Each would give wrong answers, under checksums that are right.
void test_verify_finds_what_checksums_do_not() {
    const NaiveSegment naive({{1, 2, 1, 2, 0}, {}, {2, 1}}, 3, 1, true);
    for (const auto& [name, content] : naive.contents) {
        const std::size_t padding =
            name == "tokens.bin" || name == "bigram_seconds.bin" || name == "suffixes.bin" ? 8 : 0;
        const std::size_t rows = name == "documents.bin" ? 24 : 1;
        for (std::size_t byte = 0; byte < content.size() - padding; ++byte) {
            if (byte % rows >= 8) continue;
            NaiveSegment wrong = naive;
            wrong.contents[name][byte] = static_cast<char>(content[byte] ^ 1);
            const auto check = [&] {
                Work work;
                verify(*wrong.open(), work);
            };
            CHECK_THROWS(check(), DamagedFile);
        }
    }
}

void test_wrong_arguments() {
    const auto segment = NaiveSegment({{1, 2}}, 3, 1, true).open();
    const Reader reader({segment}, {1});
    const std::vector<Token> ids{0, 3};
    CHECK_THROWS(reader.count(ids), std::invalid_argument);
    for (const std::vector<std::int64_t>& starts :
         {std::vector<std::int64_t>{}, {0, 3}, {-1, 1}, {1, 0}, {0, 2}}) {
        CHECK_THROWS(reader.count(Ragged{ids, starts}, 1), std::invalid_argument);
    }
    const std::vector<std::int64_t> empty{1, 1};
    CHECK_THROWS(reader.score_last({ids, empty}, 1), std::invalid_argument);
    CHECK_THROWS(positions(*segment, {1, 3}), std::out_of_range);
    CHECK_THROWS(symbols(*segment, {2, 1}), std::out_of_range);
    CHECK_THROWS(document_bounds(*segment, 1), std::out_of_range);
    CHECK_THROWS(reader.segment(1), std::out_of_range);
    CHECK_THROWS(Reader({segment}, {}), std::invalid_argument);
    CHECK_THROWS(Reader({segment}, {2}), std::invalid_argument);
    CHECK(Reader({}, {}).count(ids) == 0);
    Work work;
    work.cancel();
    CHECK_THROWS(verify(*segment, work), Cancelled);
}

}  // namespace

void test_suffix_search() {
    test_answers_equal_a_scan();
    test_long_runs();
    test_hostile_files();
    test_damage_is_found();
    test_verify_finds_what_checksums_do_not();
    test_wrong_arguments();
}

}  // namespace potstill
