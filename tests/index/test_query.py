"""What a query may be, and what is refused."""

import numpy as np
import pytest

from index.small_index import NumberVocabulary
from potstill.errors import UsageError
from potstill.index.query import ids_of, ragged, uint32_ids

VOCABULARY = NumberVocabulary(300)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("aé", [97, 195, 169]),
        (b"\xff\x00", [255, 0]),
        ([1, 299], [1, 299]),
        ((1, np.int64(2)), [1, 2]),
        (range(3), [0, 1, 2]),
        (np.array([1, 2], np.uint16), [1, 2]),
        (np.array([5, 6, 7])[::2], [5, 7]),
        (np.array([]), []),
        ([], []),
        ("", []),
    ],
)
def test_queries_become_plain_ids(query, ids):
    found = ids_of(query, VOCABULARY)
    assert found == ids and all(type(token_id) is int for token_id in found)


@pytest.mark.parametrize(
    "query", [["a"], [1.5], None, 7, np.array([1.0]), np.array([[1]]), [2**70], [-1], [300]]
)
def test_what_is_no_query_is_refused(query):
    with pytest.raises(UsageError):
        ids_of(query, VOCABULARY)


def test_ragged_queries_are_one_array_and_their_starts():
    ids, starts = ragged([[1, 2], b"", "a"], VOCABULARY, 300)
    assert (ids.dtype, starts.dtype) == (np.uint32, np.int64)
    assert (ids.tolist(), starts.tolist()) == ([1, 2, 97], [0, 2, 2, 3])
    assert ragged([], VOCABULARY, 300).starts.tolist() == [0]


@pytest.mark.parametrize(
    "wrong", [[-1], [300], [2**70], np.array([2**32 + 5]), np.array([2**64 - 1], np.uint64)]
)
def test_an_id_that_is_not_of_the_vocabulary_never_becomes_another_one(wrong):
    with pytest.raises(UsageError, match=r"in \[0, 300\)"):
        uint32_ids(wrong, 300)


def test_arrays_of_uint32_are_taken_as_they_are():
    ids = np.array([1, 2], np.uint32)
    assert uint32_ids(ids, 300) is ids
