import numpy as np

from index.stand_in import StandIn
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.evaluation.held_out import first_tokens, unseen


def index_of(*documents):
    return StandIn([np.array(ids, np.uint32) for ids in documents], ByteVocabulary())


def test_a_document_that_shares_a_long_run_is_seen():
    index = index_of([1, 2, 3, 4, 5], [6, 7])
    documents = [[9, 2, 3, 4, 9], [9, 2, 3, 9], [], [5, 6, 7]]
    assert unseen(index, documents, shared_tokens=3) == [False, True, True, True]


def test_a_short_document_is_seen_where_all_of_it_stands():
    index = index_of([1, 2, 3, 4, 5], [6, 7])
    assert unseen(index, [[3, 4], [4, 3], [5, 6]], shared_tokens=3) == [False, True, True]


def test_a_run_does_not_reach_into_the_next_document():
    """2 3 ends one document and 4 5 begins the next: together they would be a run of four."""
    index = index_of([2, 3, 4, 5])
    assert unseen(index, [[9, 2, 3], [4, 5, 9]], shared_tokens=3) == [True, True]


def test_tokens_are_taken_until_there_are_enough():
    documents = [[1, 2, 3], [], [4, 5, 6, 7], [8]]
    assert first_tokens(documents, 5) == [[1, 2, 3], [], [4, 5]]
    assert first_tokens(documents, 99) == documents
    assert first_tokens(documents, 0) == []
