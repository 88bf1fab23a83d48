"""The native reader equals looking at every token."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive import END, InfgramProb, Naive
from index.naive_build import narrowest
from native_segments import make_reader, make_segment, ragged
from potstill._native import Reader, Work

# Looking at every token takes its time, and how much depends on what else the machine does.
EXAMPLES = settings(max_examples=40, deadline=None)


@dataclass(frozen=True)
class Collection:
    """Documents in segments, some of them deleted: again in a negative segment."""

    vocab_size: int
    width: int
    tables: bool
    segments: list[list[list[int]]]
    deleted: frozenset[int]
    queries: list[list[int]]

    @property
    def naive(self) -> Naive:
        return Naive([ids for documents in self.segments for ids in documents], self.deleted)

    @property
    def parts(self) -> list[tuple[list[list[int]], int]]:
        documents = [ids for documents in self.segments for ids in documents]
        negative = [documents[number] for number in sorted(self.deleted)]
        halves = [negative[::2], negative[1::2]]
        return [(each, 1) for each in self.segments] + [(half, -1) for half in halves if half]

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        with TemporaryDirectory() as folder:
            yield make_reader(Path(folder), self.parts, self.vocab_size, width=self.width, tables=self.tables)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    vocab_size = draw(st.sampled_from([2, 3, 5, 20, 255, 256, 300, 70_000]))
    ids = st.one_of(st.integers(0, min(vocab_size, 3) - 1), st.integers(0, vocab_size - 1))
    document = st.one_of(
        st.lists(ids, max_size=30),
        st.builds(lambda token, times: [token] * times, ids, st.integers(0, 40)),
        st.builds(lambda run, times: run * times, st.lists(ids, max_size=3), st.integers(0, 8)),
    )
    documents = draw(st.lists(document, max_size=8))
    documents += draw(st.lists(st.sampled_from(documents), max_size=2)) if documents else []
    cuts = sorted(draw(st.lists(st.integers(0, len(documents)), max_size=2)))
    bounds = [0, *cuts, len(documents)]
    segments = [documents[first:stop] for first, stop in zip(bounds, bounds[1:], strict=False)]
    deleted = (
        draw(st.frozensets(st.integers(0, len(documents) - 1), max_size=3)) if documents else frozenset()
    )
    width = draw(st.integers(narrowest(vocab_size), 4))
    tables = draw(st.booleans())
    piece = st.lists(ids, max_size=6)
    if documents:
        piece = st.one_of(
            piece,
            st.builds(
                lambda ids, first, length: ids[first : first + length],
                st.sampled_from(documents),
                st.integers(0, 20),
                st.integers(0, 12),
            ),
        )
    queries = draw(st.lists(piece, min_size=1, max_size=8))
    return Collection(vocab_size, width, tables, segments, deleted, queries)


def counter(ids: np.ndarray, counts: np.ndarray, vocab_size: int) -> Counter[int]:
    return Counter(
        {
            END if token == vocab_size else token: count
            for token, count in zip(ids.tolist(), counts.tolist(), strict=True)
        }
    )


def scores(arrays: tuple[np.ndarray, ...]) -> list[InfgramProb]:
    columns = [column.tolist() for column in arrays]
    return [InfgramProb(*row) for row in zip(*columns, strict=True)]


@EXAMPLES
@given(collections())
def test_counts_equal_a_scan(collection: Collection):
    naive, queries = collection.naive, collection.queries
    wanted = [naive.count(query) for query in queries]
    with collection.reader() as reader:
        assert [reader.count(query) for query in queries] == wanted
        assert reader.count_batch(*ragged(queries)).tolist() == wanted
        assert reader.count_batch(*ragged(queries), threads=2).tolist() == wanted
        assert reader.count([]) == naive.num_tokens


@EXAMPLES
@given(collections())
def test_continuations_equal_a_scan(collection: Collection):
    naive, queries = collection.naive, collection.queries
    with collection.reader() as reader:
        ids, counts, row_starts = reader.next_batch(*ragged(queries), threads=2)
        for row, query in enumerate(queries):
            found = reader.next(query)
            assert found[0].tolist() == sorted(found[0].tolist())
            assert counter(found[0], found[1], collection.vocab_size) == naive.next(query)
            assert found[2] == 0
            here = slice(row_starts[row], row_starts[row + 1])
            assert np.array_equal(ids[here], found[0]) and np.array_equal(counts[here], found[1])


@EXAMPLES
@given(collections(), st.integers(1, 12))
def test_a_budget_leaves_the_rest_unresolved(collection: Collection, budget: int):
    with collection.reader() as reader:
        for query in collection.queries:
            wanted = collection.naive.next(query)
            ids, counts, unresolved = reader.next(query, budget=budget)
            found = counter(ids, counts, collection.vocab_size)
            for symbol in wanted | found:
                assert abs(found[symbol] - wanted[symbol]) <= unresolved
            if not collection.deleted:
                assert found.total() + unresolved == wanted.total()


@EXAMPLES
@given(collections())
def test_occurrences_are_found_where_they_are(collection: Collection):
    parts = collection.parts
    with collection.reader() as reader:
        for query in collection.queries:
            ranges = reader.ranges(query)
            assert [number for number, _, _ in ranges] == [
                number for number, (documents, _) in enumerate(parts) if Naive(documents).count(query)
            ]
            for number, lo, hi in ranges:
                positions = reader.positions(number, lo, hi)
                found = zip(*(each.tolist() for each in reader.documents(number, positions)), strict=True)
                assert sorted(found) == Naive(parts[number][0]).find(query)
                for position in positions.tolist():
                    symbols = reader.symbols(number, position, position + len(query))
                    assert (symbols.astype(int) - 1).tolist() == query


@EXAMPLES
@given(collections())
def test_documents_are_as_they_were_written(collection: Collection):
    with collection.reader() as reader:
        for number, (documents, _) in enumerate(collection.parts):
            for document, ids in enumerate(documents):
                first, stop = reader.document_bounds(number, document)
                symbols = reader.symbols(number, first, stop + 1).tolist()
                assert symbols == [*(token + 1 for token in ids), 0]
                assert reader.document_row(number, document) == (first, first * 3, 7, document)


@EXAMPLES
@given(collections())
def test_matches_equal_a_scan(collection: Collection):
    naive = collection.naive
    text = [token for query in collection.queries for token in query]
    with collection.reader() as reader:
        assert reader.longest_matches(text).tolist() == naive.longest_matches(text)
        for min_length in (1, 3):
            columns = reader.spans(text, min_length, threads=2)
            assert list(zip(*(column.tolist() for column in columns), strict=True)) == naive.spans(
                text, min_length
            )


@EXAMPLES
@given(collections(), st.integers(0, 5))
def test_infgram_scores_equal_a_scan(collection: Collection, max_suffix: int):
    naive = collection.naive
    text = [token for query in collection.queries for token in query]
    befores = [text[: at + 1] for at in range(len(text))]
    with collection.reader() as reader:
        wanted = naive.score(text)
        assert scores(reader.score(text)) == wanted
        assert scores(reader.score(text, threads=2)) == wanted
        assert scores(reader.infgram_batch(*ragged(befores))) == wanted
        assert [
            score for each in befores for score in scores(reader.infgram_batch(*ragged([each])))
        ] == wanted
        limited = [
            naive.infgram_prob(text[max(0, at - max_suffix) : at], text[at]) for at in range(len(text))
        ]
        assert scores(reader.score(text, max_suffix=max_suffix)) == limited


@EXAMPLES
@given(collections())
def test_a_state_follows_a_stream(collection: Collection):
    naive, seen = collection.naive, []
    text = [token for query in collection.queries for token in query]
    with collection.reader() as reader:
        state = reader.state()
        for token in text:
            other = state.copy()
            other.extend(0)
            state.extend(token)
            seen.append(token)
            suffix_len, _, counts = naive.infgram_next(seen)
            assert state.suffix_len == suffix_len
            assert state.count == naive.count(seen[len(seen) - suffix_len :])
            ids, found, unresolved = state.next()
            assert (counter(ids, found, collection.vocab_size), unresolved) == (counts, 0)
        state.reset()
        assert (state.suffix_len, state.count) == (0, naive.num_tokens)


@EXAMPLES
@given(collections())
def test_segments_made_right_pass_verify(collection: Collection):
    with TemporaryDirectory() as folder:
        for number, (documents, _) in enumerate(collection.parts):
            work = Work()
            options = {"width": collection.width, "tables": collection.tables}
            segment = make_segment(Path(folder) / str(number), documents, collection.vocab_size, **options)
            segment.verify(work)
            assert work.done > 0


@pytest.fixture
def reader(tmp_path) -> Reader:
    return make_reader(tmp_path, [([[1, 2, 3], [1, 2]], 1)], vocab_size=5)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.uint64, np.uint32, np.uint16, np.uint8])
def test_ids_are_any_integers(reader, dtype):
    assert reader.count(np.array([1, 2], dtype)) == 2
    assert reader.count(np.array([1, 9, 2], dtype)[::2]) == 2
    assert reader.count([dtype(1), 2]) == 2
    assert reader.count((1, 2)) == reader.count(range(1, 3)) == 2


@pytest.mark.parametrize(
    "ids", [[5], [-1], [1, 2**32], [2**70], [-(2**70)], np.array([1, -2]), np.array([2**40])]
)
def test_an_id_outside_of_the_vocabulary_is_refused_by_name(reader, ids):
    wrong = next(token for token in list(ids) if not 0 <= token < 5)
    for ask in (reader.count, reader.next, reader.ranges, reader.score, reader.longest_matches, reader.spans):
        with pytest.raises(ValueError, match="vocabulary") as caught:
            ask(ids)
        assert abs(int(wrong)) > 2**64 or str(int(wrong)) in str(caught.value)


@pytest.mark.parametrize(
    "ids", [[1.0], np.array([1.0]), "12", [None], 3, np.array([[1, 2]]), np.array([True])]
)
def test_what_is_no_sequence_of_integers_is_refused(reader, ids):
    with pytest.raises(TypeError):
        reader.count(ids)


@pytest.mark.parametrize("starts", [[], [0, 9], [-1, 1], [2, 1], [0, 3]])
def test_starts_that_do_not_fit_are_refused(reader, starts):
    ids = np.array([1, 2, 7], np.uint32)
    with pytest.raises(ValueError):
        reader.count_batch(ids, np.array(starts, np.int64))


def test_batches_take_no_other_types(reader):
    ids, starts = ragged([[1, 2]])
    with pytest.raises(TypeError):
        reader.count_batch(ids.astype(np.int64), starts)
    with pytest.raises(TypeError):
        reader.count_batch(ids, starts.astype(np.int32))


def test_an_empty_query_has_no_last_token(reader):
    with pytest.raises(ValueError, match="row 1 is empty"):
        reader.infgram_batch(*ragged([[1], []]))


def test_a_failed_extension_changes_nothing(reader):
    state = reader.state()
    state.extend(1)
    with pytest.raises(ValueError, match="id 7"):
        state.extend(7)
    assert (state.suffix_len, state.count) == (1, 2)


def test_what_is_not_in_a_segment_is_an_index_error(reader):
    for ask in (
        lambda: reader.positions(1, 0, 1),
        lambda: reader.positions(0, 0, 6),
        lambda: reader.symbols(0, 3, 2),
        lambda: reader.documents(0, np.array([7], np.uint64)),
        lambda: reader.document_bounds(0, 2),
        lambda: reader.document_row(0, 2),
    ):
        with pytest.raises(IndexError):
            ask()


def test_without_segments_nothing_occurs():
    reader = Reader([], [])
    assert reader.count([1, 2]) == reader.count([]) == 0
    assert reader.next([1])[0].size == 0
    assert reader.longest_matches([1, 2]).tolist() == [0, 0]
    assert scores(reader.score([1])) == [InfgramProb(0, 0, 0, False)]


def test_segments_of_other_vocabularies_do_not_mix(tmp_path):
    segments = [make_segment(tmp_path / str(size), [[1]], size) for size in (3, 4)]
    with pytest.raises(ValueError, match="3 and 4"):
        Reader(segments, [1, 1])


def test_byte_255_does_not_fit_symbols_of_one_byte(tmp_path):
    """A segment of bytes that holds none is one byte wide; asking for it is allowed all the same."""
    reader = make_reader(tmp_path, [([[0, 254, 0]], 1)], vocab_size=256, width=1)
    assert reader.count([255]) == reader.count([0, 255]) == reader.count([255, 0]) == 0
    assert reader.count([254]) == 1
    assert reader.longest_matches([0, 255, 254]).tolist() == [1, 0, 1]


def test_many_threads_ask_at_once(tmp_path):
    random = np.random.default_rng(5)
    documents = [random.integers(0, 4, 60).tolist() for _ in range(3)]
    reader = make_reader(tmp_path, [(documents, 1)], vocab_size=4)
    queries = [random.integers(0, 4, size).tolist() for size in random.integers(0, 6, 300)]
    wanted = [Naive(documents).count(query) for query in queries]
    shared = reader.state()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.count, queries)) == wanted
        list(pool.map(shared.extend, random.integers(0, 4, 300).tolist()))
    assert shared.suffix_len > 0
