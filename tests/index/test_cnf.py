"""Conjunctive search counts what a scan of all documents counts."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive import Naive
from index.naive_reader import NaiveReader, NaiveSegment
from potstill.errors import UsageError
from potstill.index import cnf
from potstill.index.cnf import CnfSearch, checked_clauses, minimal_clause
from potstill.index.numbering import DocumentPlace, Numbering
from potstill.index.results import SearchCount

TOKEN = st.integers(0, 3)
DOCUMENTS = st.lists(st.lists(TOKEN, max_size=12), min_size=1, max_size=5)
CLAUSES = st.lists(
    st.lists(st.lists(TOKEN, min_size=1, max_size=3), min_size=1, max_size=3), min_size=1, max_size=3
)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[list[int]]], frozenset[int]]:
    """Documents by segment, and the numbers of the deleted ones."""
    segments = draw(st.lists(DOCUMENTS, min_size=1, max_size=3))
    total = sum(map(len, segments))
    return segments, draw(st.frozensets(st.integers(0, total - 1), max_size=3))


def search(
    segments: Sequence[Sequence[Sequence[int]]],
    deleted: frozenset[int],
    clauses: Sequence[Sequence[Sequence[int]]],
    window_tokens: int,
    budget: int | None = None,
) -> SearchCount:
    """Over segments as an index has them: the deleted documents stand again in a negative one."""
    places = [DocumentPlace(at, n) for at, documents in enumerate(segments) for n in range(len(documents))]
    gone = [places[number] for number in sorted(deleted)]
    negative = NaiveSegment([segments[place.segment][place.document] for place in gone], -1)
    reader = NaiveReader([*map(NaiveSegment, segments), negative])
    signs = [1] * len(segments) + [-1]
    runs = [(place.segment, place.document, place.document + 1) for place in gone]
    numbering = Numbering(signs, [len(segment.documents) for segment in reader.segments], runs)
    ids = checked_clauses(clauses)
    return CnfSearch(reader, numbering, ids, window_tokens, budget).run(limit=None)  # type: ignore[arg-type]


def naive(segments: Sequence[Sequence[Sequence[int]]], deleted: frozenset[int]) -> Naive:
    return Naive([ids for documents in segments for ids in documents], deleted)


@pytest.mark.parametrize("reads_text", [True, False])
@settings(max_examples=150)
@given(corpora(), CLAUSES, st.integers(0, 14))
def test_search_counts_what_a_scan_counts(reads_text, corpus, clauses, window_tokens):
    segments, deleted = corpus
    truth = naive(segments, deleted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnf, "reading_is_quicker", lambda *_: reads_text)
        found = search(segments, deleted, clauses, window_tokens)
    hits = [(hit.document, hit.token_offset) for hit in found.occurrences]
    assert hits == truth.anchors(clauses, window_tokens)
    assert (found.count, found.num_documents) == truth.search(clauses, window_tokens)
    assert found.is_exact and found.most == found.count
    for hit in found.occurrences:
        stop = hit.token_offset + hit.num_tokens
        assert tuple(truth.documents[hit.document][hit.token_offset : stop]) in found.clauses[found.anchor]


@settings(max_examples=150)
@given(corpora(), CLAUSES, st.integers(0, 14), st.integers(1, 6))
def test_a_budget_gives_bounds_that_hold_the_exact_count(corpus, clauses, window_tokens, budget):
    segments, deleted = corpus
    exact = naive(segments, deleted).search(clauses, window_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnf, "reading_is_quicker", lambda *_: False)
        found = search(segments, deleted, clauses, window_tokens, budget)
    assert found.count <= exact.count <= found.most
    assert found.num_documents <= exact.num_documents


def test_a_large_enough_budget_changes_nothing():
    segments = [[[0, 1, 0, 1, 2]] * 3]
    found = search(segments, frozenset(), [[[0]], [[1]]], 1, budget=6)
    assert found.is_exact and found.count == 6


def test_a_small_budget_says_that_the_answer_is_approximate():
    segments = [[[0, 1] * 10]]
    found = search(segments, frozenset(), [[[0]], [[1]]], 1, budget=4)
    assert not found.is_exact and found.count <= 10 <= found.most


def test_words_near_each_other_in_two_documents_are_not_near():
    assert search([[[0], [1]]], frozenset(), [[[0]], [[1]]], 10).count == 0


def test_ngrams_that_another_one_begins_are_left_out():
    assert minimal_clause([[1, 2], [1], [2, 3], [1, 5, 6], [2, 3]]) == ((1,), (2, 3))


@pytest.mark.parametrize("clauses", [[], [[]], [[[1]], []], [[[1], []]]])
def test_a_search_for_nothing_is_refused(clauses):
    with pytest.raises(UsageError):
        checked_clauses(clauses)
