import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.stand_in import StandIn
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.index import runs as runs_module
from potstill.index.runs import longest_runs, maximal


def ids_of(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8).astype(np.uint32)


def naive_runs(documents: list[bytes], text: bytes) -> list[int]:
    return [
        max(n for n in range(len(text) - at + 1) if any(text[at : at + n] in each for each in documents))
        if documents
        else 0
        for at in range(len(text))
    ]


def test_runs_end_with_their_text() -> None:
    index = StandIn.of(["abcd"])
    rows = [ids_of(text) for text in (b"ab", b"", b"cdx")]
    assert [run.tolist() for run in longest_runs(index, rows)] == [[2, 1], [], [2, 1, 0]]
    assert longest_runs(index, []) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("ab", max_size=30), max_size=3),
    st.lists(st.one_of(st.text("ab", max_size=10), st.integers(0, 2)), max_size=6),
)
def test_runs_of_long_texts_are_exact_too(documents: list[str], pieces: list[str | int]) -> None:
    """A number among the pieces is a whole document; the bounds are so low that most texts are long."""
    held = [document.encode() for document in documents]
    text = b"".join(
        (held[piece] if piece < len(held) else b"") if isinstance(piece, int) else piece.encode()
        for piece in pieces
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "LONG_TOKENS", 7)
        patch.setattr(runs_module, "BOUND_TOKENS", 3)
        (found,) = longest_runs(StandIn.of(held), [ids_of(text)])
    assert found.tolist() == naive_runs(held, text)


@given(st.lists(st.text("ab", max_size=12), max_size=3), st.text("ab", max_size=16), st.integers(1, 4))
def test_maximal_runs_lie_in_no_other(documents: list[str], text: str, least: int) -> None:
    index = StandIn([ids_of(each.encode()) for each in documents], ByteVocabulary())
    (runs,) = longest_runs(index, [ids_of(text.encode())])
    found = maximal(runs, least)
    every = [(at, at + int(run)) for at, run in enumerate(runs) if run]
    outer = [(a, b) for a, b in every if not any(c <= a and b <= d and (a, b) != (c, d) for c, d in every)]
    assert list(zip(found.starts.tolist(), found.stops.tolist(), strict=True)) == [
        (a, b) for a, b in outer if b - a >= least
    ]


def test_a_text_that_stands_in_the_corpus_takes_few_looks() -> None:
    text = bytes(random.Random(1).choices(range(97, 123), k=20_000))
    index = CountedLooks.of([text])
    (found,) = longest_runs(index, [ids_of(text)])
    assert found.tolist() == list(range(len(text), 0, -1))
    assert 0 < index.looks[0] < 40


class CountedLooks(StandIn):
    looks = [0]

    def count_batch(self, ids, starts, *, threads=1):
        self.looks[0] += 1
        return super().count_batch(ids, starts, threads=threads)

    def longest_matches(self, ids, *, threads=1):
        assert len(ids) <= runs_module.LONG_TOKENS
        return np.arange(len(ids), 0, -1)
