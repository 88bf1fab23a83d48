import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.stand_in import StandIn
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import ConfigError
from potstill.index.shared_runs import share_ngrams, shares_ngram


def shares(rows: list[list[int]], ids: list[int], num_tokens: int) -> bool:
    """The truth, by comparing every piece with every piece."""
    pieces = {tuple(row[at : at + num_tokens]) for row in rows for at in range(len(row) - num_tokens + 1)}
    return any(tuple(ids[at : at + num_tokens]) in pieces for at in range(len(ids) - num_tokens + 1))


Rows = st.lists(st.lists(st.integers(0, 2), max_size=30), max_size=4)


@settings(max_examples=300, deadline=None)
@given(Rows, Rows, st.integers(1, 9))
def test_a_shared_run_is_found_wherever_it_stands(corpus, documents, num_tokens) -> None:
    index = StandIn([np.array(row, np.uint32) for row in corpus], ByteVocabulary())
    expected = [shares(corpus, document, num_tokens) for document in documents]
    assert share_ngrams(index, documents, num_tokens).tolist() == expected
    assert [shares_ngram(index, document, num_tokens) for document in documents] == expected


@pytest.mark.parametrize("shared", [49, 50])
def test_fifty_tokens_in_a_row_are_told_from_forty_nine(shared: int) -> None:
    generator = random.Random(shared)
    run = bytes(generator.choices(range(97, 123), k=shared))
    for before in range(60):
        document = b"A" * before + run + b"B" * 30
        index = StandIn.of([b"C" * 40 + run + b"D" * 10])
        assert shares_ngram(index, list(document)) is (shared == 50)


def test_a_run_of_no_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        shares_ngram(StandIn.of(["a"]), [1, 2], 0)
