"""An index that is opened, shared by many, closed, and asked all the same."""

import asyncio
import gc
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index.small_index import naive_of, small_index, write_index
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.index.asynchronous import AsyncIndex
from potstill.index.commit import vocabulary_name
from potstill.index.numbering import DocumentPlace, Numbering
from potstill.index.reader import Index
from potstill.index.results import Occurrence

DOCUMENTS = [[[1, 2, 1, 2, 3], [], [2]], [[1, 2, 3, 3], [1, 2]]]
DELETED = frozenset({3})
QUESTIONS = [
    lambda index: index.count([1, 2]),
    lambda index: index.count("a"),
    lambda index: index.count_batch(np.array([1], np.uint32), np.array([0, 1])),
    lambda index: index.next([1]),
    lambda index: index.next_batch([1], [0, 1]),
    lambda index: index.prob([1], 2),
    lambda index: index.infgram_prob([1], 2),
    lambda index: index.infgram_next([1]),
    lambda index: index.score([1, 2]),
    lambda index: index.longest_matches([1, 2]),
    lambda index: index.spans([1, 2]),
    lambda index: index.state(),
    lambda index: list(index.find([1, 2])),
    lambda index: index.ranges([1]),
    lambda index: index.at_rank(0, 0),
    lambda index: index.document(0),
    lambda index: index.occurrence(0, 0, 1),
    lambda index: index.search([[[1]]]),
    lambda index: index.document_numbers,
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return small_index(tmp_path, DOCUMENTS, DELETED, vocab_size=300)


def test_a_closed_index_refuses_every_question(index):
    for question in QUESTIONS:
        question(index)
    with index:
        pass
    for question in QUESTIONS:
        with pytest.raises(UsageError, match="is closed"):
            question(index)
    index.close()


def test_what_was_begun_before_closing_can_be_finished(index):
    occurrences, state = index.find([1, 2]), index.state()
    index.close()
    del index
    gc.collect()
    assert sorted(occurrences) == naive_of(DOCUMENTS, DELETED).find([1, 2])
    state.extend(1)
    state.extend(2)
    assert state.count == 3


def test_an_open_index_answers_from_files_that_are_gone(index, tmp_path):
    for path in tmp_path.rglob("*.bin"):
        path.unlink()
    assert index.count([1, 2]) == 3
    assert index.document(0).tokens == (1, 2, 1, 2, 3)


def test_a_folder_that_is_no_index_is_missing(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingError, match="is no index") as missing:
            Index.open(path)
        assert missing.value.exit_code == 4


def test_a_degraded_index_answers_without_what_is_missing_and_never_below_zero(tmp_path):
    manifest = write_index(tmp_path, DOCUMENTS, DELETED, vocab_size=256)
    ByteVocabulary().save(tmp_path / "vocabulary" / vocabulary_name(manifest.vocabulary.fingerprint))
    whole, gone, negative = (entry.name for entry in manifest.segments)
    with Index.open(tmp_path) as index:
        assert (index.count([1, 2]), index.left_out) == (3, ())
    shutil.rmtree(tmp_path / "segments" / gone)
    with pytest.raises((MissingError, DamagedError), match=gone):
        Index.open(tmp_path)
    with Index.open(tmp_path, degraded=True) as index:
        assert index.left_out == (gone, negative)
        assert index.num_documents == 3
        assert index.count([1, 2]) == naive_of(DOCUMENTS[:1]).count([1, 2])
        assert index.count([3, 3]) == 0


@pytest.mark.parametrize("number", [-1, 5, 10**30])
def test_a_document_that_does_not_exist_is_refused(index, number):
    with pytest.raises(UsageError, match="There is no document"):
        index.document(number)


@pytest.mark.parametrize("place", [(0, -1, 1), (0, 0, 6), (0, 5, 1), (1, 0, 1), (0, 0, -1)])
def test_a_piece_outside_its_document_is_refused(index, place):
    with pytest.raises(UsageError):
        index.occurrence(*place)


@pytest.mark.parametrize(
    "question",
    [
        lambda index: index.count([300]),
        lambda index: index.count([-1]),
        lambda index: index.count([2**70]),
        lambda index: index.count([1.0]),
        lambda index: index.count(None),
        lambda index: index.next([300]),
        lambda index: index.score([1, 300]),
        lambda index: index.count_batch([1, 2], [0, 3]),
        lambda index: index.count_batch([1, 2], [2, 1]),
        lambda index: index.count_batch([1, 2], []),
        lambda index: index.infgram_batch([1], [0, 0]),
        lambda index: index.infgram_prob([1], [1, 2]),
        lambda index: index.at_rank(0, 10**9),
        lambda index: index.at_rank(7, 0),
        lambda index: index.at_rank(0, -1),
        lambda index: index.at_position(0, 10**9),
        lambda index: index.at_position(0, 2**64),
        lambda index: index.find([2**70]),
        lambda index: index.next([2**70]),
        lambda index: index.score([2**70]),
        lambda index: index.ragged([[2**70]]),
        lambda index: index.find([1], limit=-1),
        lambda index: index.next([1], budget=-1),
        lambda index: index.infgram_next([1], budget=-1),
        lambda index: index.search([[[1]]], limit=-1),
        lambda index: index.search([[[1]], [[2]]], window_tokens=-1),
        lambda index: index.search([[[1]], [[2]]], budget=-1),
        lambda index: index.search([[[1]], []]),
        lambda index: index.search("a AND"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(index, question):
    with pytest.raises(UsageError):
        question(index)


def test_a_state_refuses_an_id_outside_the_vocabulary(index):
    state = index.state()
    with pytest.raises(ValueError, match="outside of the vocabulary"):
        state.extend(300)


def test_limits_and_budgets_may_be_larger_than_any_index(index):
    huge = 10**30
    assert list(index.find([1, 2], limit=huge)) == list(index.find([1, 2]))
    assert index.next([1, 2], budget=huge).is_exact
    found = index.search([[[1]], [[2]]], limit=huge, window_tokens=huge, budget=huge)
    assert found.is_exact and len(found.occurrences) == found.count > 0


def test_numbers_of_numpy_are_numbers(index):
    assert index.prob([1], np.int64(2)) == index.prob([1], 2)
    assert index.infgram_prob([1], np.uint32(2)) == index.infgram_prob([1], 2)
    assert index.document(np.int64(1)) == index.document(1)


def test_answers_are_the_same_from_many_threads(index):
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: index.count([1, 2]), range(400)))
        places = list(threads.map(lambda _: index.find([1, 2]).places().documents.tolist(), range(50)))
    assert set(counts) == {3}
    assert all(found == [0, 0, 4] for found in places)


async def ask_all(index: Index) -> None:
    async with AsyncIndex(index, num_threads=4) as asked:
        counts = await asyncio.gather(*(asked.count([1, 2]) for _ in range(300)))
        assert set(counts) == {3}
        found, following, nearby = await asyncio.gather(
            asked.find([1, 2], limit=2), asked.next([1, 2]), asked.search([[[1]], [[3]]])
        )
        assert len(found) == 2 and isinstance(found[0], Occurrence)
        assert (following.total, nearby.count) == (3, 1)
        with pytest.raises(UsageError, match="is no|must be|outside"):
            await asked.count([10**6])
    with pytest.raises(UsageError, match="is closed"):
        await asked.count([1])


def test_an_index_can_be_awaited_by_many_at_once(index):
    asyncio.run(ask_all(index))


def test_runs_of_deleted_documents_are_taken_as_runs():
    """One by one, ten million of them would keep an index from opening for half a minute."""
    numbering = Numbering([1, 1, -1], [10**7, 2, 10**7], [(0, 0, 10**7), (1, 1, 2)])
    assert numbering.num_deleted == 10**7 + 1
    assert numbering.is_deleted(DocumentPlace(0, 10**7 - 1)) and not numbering.is_deleted(DocumentPlace(1, 0))
