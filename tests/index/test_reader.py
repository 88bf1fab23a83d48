"""Every answer of an index is what a scan of all its documents finds."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive import END, Naive
from index.small_index import naive_of, small_index
from potstill.index.reader import Index
from potstill.index.results import Continuations, ContinuationsBatch, Scores

Ids = list[int]


class Corpus(NamedTuple):
    vocab_size: int
    segments: list[list[Ids]]
    deleted: frozenset[int]
    tables: bool

    @property
    def truth(self) -> Naive:
        return naive_of(self.segments, self.deleted)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """One to three segments of documents with repeats, some of them empty, some deleted."""
    vocab_size = draw(st.sampled_from([2, 3, 5, 255, 256, 300]))
    # Few of the ids, the highest among them, so that n-grams come again.
    ids = st.sampled_from([0, 1, vocab_size - 1])
    pieces = draw(st.lists(st.lists(ids, min_size=1, max_size=6), min_size=1, max_size=3))
    piece = st.one_of(st.sampled_from(pieces), st.lists(ids, max_size=3))
    document = st.lists(piece, max_size=4).map(lambda parts: [each for part in parts for each in part])
    segments = draw(st.lists(st.lists(document, max_size=5), min_size=1, max_size=3))
    total = sum(map(len, segments))
    deleted = draw(st.frozensets(st.integers(0, total - 1), max_size=3)) if total else frozenset()
    return Corpus(vocab_size, segments, deleted, draw(st.booleans()))


def queries_of(corpus: Corpus) -> st.SearchStrategy[Ids]:
    """N-grams that occur, ones that nearly do, and any others."""
    documents = [ids for documents in corpus.segments for ids in documents if ids]
    any_ids = st.lists(st.integers(0, corpus.vocab_size - 1), max_size=5)
    if not documents:
        return any_ids
    piece = st.sampled_from(documents).flatmap(
        lambda ids: st.tuples(st.integers(0, len(ids)), st.integers(1, 8)).map(
            lambda cut: ids[cut[0] : cut[0] + cut[1]]
        )
    )
    return st.one_of(any_ids, piece, st.tuples(piece, piece).map(lambda two: two[0] + two[1]))


@contextmanager
def opened(corpus: Corpus) -> Iterator[Index]:
    with (
        tempfile.TemporaryDirectory() as folder,
        small_index(
            Path(folder),
            corpus.segments,
            corpus.deleted,
            vocab_size=corpus.vocab_size,
            tables=corpus.tables,
        ) as index,
    ):
        yield index


def told(found: Continuations) -> Counter[int]:
    counts = Counter(dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)))
    return counts + Counter({END: found.num_end})


def told_row(batch: ContinuationsBatch, number: int) -> Counter[int]:
    found, counts = batch.row(number)
    ids = (END if each == batch.vocab_size else each for each in found.tolist())
    return Counter(dict(zip(ids, counts.tolist(), strict=True)))


def rows(scores: Scores) -> list[tuple[int, int, int, bool]]:
    columns = (scores.suffix_len, scores.context_count, scores.count, scores.is_sparse)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def ragged(queries: Sequence[Ids]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *map(len, queries)], dtype=np.int64)
    return np.array([each for query in queries for each in query], np.uint32), starts


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_answer_within_a_budget_is_as_near_as_it_says(draw):
    corpus = draw.draw(corpora())
    with opened(corpus) as index:
        context = draw.draw(queries_of(corpus))
        found, wanted = index.next(context, budget=draw.draw(st.integers(1, 8))), corpus.truth.next(context)
        counts = Counter(dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)))
        counts[END] = found.num_end
        assert found.total == wanted.total() and found.unresolved <= found.total
        for token in {*counts, *wanted}:
            assert abs(counts[token] - wanted[token]) <= found.unresolved and counts[token] <= found.total
        assert found.is_exact == (found.unresolved == 0)


def test_what_only_deleted_documents_hold_is_not_approximate():
    """Their occurrences are two that no symbol was counted for, one of either sign: none is left."""
    corpus = Corpus(3, [[[0, 1, 2], [1, 2]]], frozenset({0}), tables=False)
    with opened(corpus) as index:
        found = index.next([0, 1], budget=1)
    assert (found.total, found.unresolved, found.ids.tolist(), found.num_end) == (0, 0, [], 0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_and_places_are_those_of_a_scan(draw):
    corpus = draw.draw(corpora())
    truth = corpus.truth
    queries = draw.draw(st.lists(queries_of(corpus), min_size=1, max_size=12))
    with opened(corpus) as index:
        assert index.num_tokens == index.count([]) == truth.num_tokens
        assert index.num_documents == len(truth.live)
        assert len(index.document_numbers) == len(truth.documents)
        assert [index.count(query) for query in queries] == list(map(truth.count, queries))
        assert index.count_batch(*ragged(queries)).tolist() == list(map(truth.count, queries))
        for query in filter(None, queries):
            found = index.find(query)
            assert sorted(found) == truth.find(query)
            places = index.find(query).places()
            assert list(zip(places.documents, places.token_offsets, strict=True)) == truth.find(query)
            assert (
                len(list(index.find(query, limit=2)))
                == min(2, truth.count(query))
                == len(index.find(query, limit=2))
            )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_continuations_and_infgrams_are_those_of_a_scan(draw):
    corpus = draw.draw(corpora())
    truth = corpus.truth
    contexts = draw.draw(st.lists(queries_of(corpus), min_size=1, max_size=8))
    token = draw.draw(st.integers(0, corpus.vocab_size - 1))
    with opened(corpus) as index:
        batch = index.next_batch(*ragged(contexts))
        for number, context in enumerate(contexts):
            found = index.next(context)
            assert told(found) == truth.next(context)
            assert found.total == truth.count(context) and found.is_exact
            assert np.all(np.diff(found.ids) > 0)
            assert told_row(batch, number) == truth.next(context)
            answer, wanted = index.prob(context, token), truth.count([*context, token])
            assert (answer.context_count, answer.count) == (truth.count(context), wanted)

            longest = index.infgram_next(context)
            suffix_len, is_sparse, counts = truth.infgram_next(context)
            assert (longest.suffix_len, longest.is_sparse) == (suffix_len, is_sparse)
            assert told(longest) == counts
            assert longest.query == tuple(context[len(context) - suffix_len :])
            last = index.infgram_prob(context, token)
            seen = (last.suffix_len, last.context_count, last.count, last.is_sparse)
            assert seen == truth.infgram_prob(context, token)
        scores = index.infgram_batch(*ragged([[*context, token] for context in contexts]))
        assert rows(scores) == [truth.infgram_prob(context, token) for context in contexts]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whole_texts_are_measured_as_a_scan_measures_them(draw):
    corpus = draw.draw(corpora())
    truth = corpus.truth
    text = draw.draw(st.lists(queries_of(corpus), max_size=4).map(lambda parts: sum(parts, [])))
    min_length = draw.draw(st.integers(1, 4))
    with opened(corpus) as index:
        assert rows(index.score(text)) == truth.score(text)
        assert index.longest_matches(text).tolist() == truth.longest_matches(text)
        found = index.spans(text, min_length)
        columns = (found.starts, found.lengths, found.counts)
        spans = list(zip(*(column.tolist() for column in columns), strict=True))
        assert spans == truth.spans(text, min_length)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_state_knows_the_longest_suffix_after_every_token(draw):
    corpus = draw.draw(corpora())
    truth = corpus.truth
    text = draw.draw(st.lists(queries_of(corpus), max_size=4).map(lambda parts: sum(parts, [])))
    with opened(corpus) as index:
        state = index.state()
        for at, token_id in enumerate(text, start=1):
            state.extend(token_id)
            wanted = truth.infgram_next(text[:at])
            assert (state.suffix_len, state.count) == (wanted.suffix_len, sum(wanted.counts.values()))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_documents_answer_by_number_position_and_rank(draw):
    corpus = draw.draw(corpora())
    truth = corpus.truth
    query = draw.draw(queries_of(corpus))
    with opened(corpus) as index:
        for number in index.document_numbers:
            document = index.document(number)
            assert list(document.tokens) == list(truth.documents[number])
            assert document.is_deleted == (number in truth.deleted)
        ranks = [
            (each.segment, rank) for each in index.ranges(query) for rank in range(each.first, each.stop)
        ]
        everywhere = naive_of(corpus.segments).find(query) if query else None
        if everywhere is not None:
            assert sorted(index.at_rank(*rank) for rank in ranks) == everywhere
            for segment, rank in ranks:
                piece = index.document_by_rank(rank, 4, segment=segment)
                assert piece[:2] == index.at_rank(segment, rank)
                ids = list(truth.documents[piece.document])
                assert piece.num_tokens == len(ids)
                assert piece.first == max(piece.token_offset - 2, 0)
                assert piece.tokens.tolist() == ids[piece.first : piece.first + 4]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_search_counts_what_a_scan_counts(draw):
    corpus = draw.draw(corpora())
    clause = st.lists(queries_of(corpus).filter(len), min_size=1, max_size=2)
    clauses = draw.draw(st.lists(clause, min_size=1, max_size=3))
    window_tokens = draw.draw(st.integers(0, 10))
    with opened(corpus) as index:
        found = index.search(clauses, window_tokens=window_tokens, limit=None)
        assert (found.count, found.num_documents) == corpus.truth.search(clauses, window_tokens)
        assert [hit[:2] for hit in found.occurrences] == corpus.truth.anchors(clauses, window_tokens)
