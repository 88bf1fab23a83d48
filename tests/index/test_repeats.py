"""Repeats beside a comparison of every place with every other."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive_build import bit_packed, naive_files, narrowest, packed_symbols, sorted_suffixes, symbols_of
from index.small_index import NumberVocabulary, write_index
from potstill import _native
from potstill.errors import ConfigError, DamagedError, RefusedError
from potstill.index.open import OpenIndex, open_segment
from potstill.index.repeats import Repeats, find_repeats

Documents = Sequence[Sequence[int]]
Spans = list[tuple[int, int, int]]


def naive_repeats(documents: Documents, length: int) -> tuple[Spans, Spans]:
    """(document, start, stop) of all that stands in a run found twice, and of all but the first places."""
    places = [
        (number, at, tuple(ids[at : at + length]))
        for number, ids in enumerate(documents)
        for at in range(len(ids) - length + 1)
    ]
    counts, seen = Counter(run for _, _, run in places), set()
    repeated, later = set(), set()
    for number, at, run in places:
        covered = {(number, token) for token in range(at, at + length)}
        repeated |= covered if counts[run] > 1 else set()
        later |= covered if run in seen else set()
        seen.add(run)
    return joined(repeated), joined(later)


def joined(tokens: set[tuple[int, int]]) -> Spans:
    spans: Spans = []
    for number, token in sorted(tokens):
        if spans and spans[-1][0] == number and spans[-1][2] == token:
            spans[-1] = (number, spans[-1][1], token + 1)
        else:
            spans.append((number, token, token + 1))
    return spans


def native_repeats(documents: Documents, vocab_size: int, length: int, threads: int) -> tuple[Spans, Spans]:
    symbols, width = symbols_of(documents), narrowest(vocab_size)
    found = _native.find_repeats(
        np.frombuffer(packed_symbols(symbols, width), np.uint8),
        np.frombuffer(naive_files(symbols, vocab_size, width, tables=False)["suffixes.bin"], np.uint8),
        symbol_bytes=width,
        position_bits=max((max(len(symbols), 1) - 1).bit_length(), 1),
        num_symbols=len(symbols),
        num_tokens=len(symbols) - len(documents),
        length=length,
        threads=threads,
    )
    borders = [0, *np.cumsum([len(ids) + 1 for ids in documents]).tolist()]
    tokens = [
        {
            (number, symbol - first)
            for number, (first, stop) in enumerate(pairwise(borders))
            for start, end in zip(starts.tolist(), stops.tolist(), strict=True)
            for symbol in range(max(first, start), min(stop, end))
        }
        for starts, stops in (found[:2], found[2:])
    ]
    return joined(tokens[0]), joined(tokens[1])


def spans_of(repeats: Repeats) -> tuple[Spans, Spans]:
    columns = [
        np.stack([each.documents, each.starts, each.stops], axis=1)
        for each in (repeats.repeated, repeats.later)
    ]
    return tuple([tuple(row) for row in table.tolist()] for table in columns)  # type: ignore[return-value]


CORPORA = st.sampled_from([2, 3, 256, 300, 70_000, 2**24]).flatmap(
    lambda size: st.tuples(
        st.just(size), st.lists(st.lists(st.sampled_from([0, 1, size - 1]), max_size=14), max_size=5)
    )
)


@settings(max_examples=300, deadline=None)
@given(CORPORA, st.integers(1, 8), st.integers(1, 3))
def test_the_repeats_are_those_that_comparing_every_place_finds(corpus, length: int, threads: int) -> None:
    vocab_size, documents = corpus
    assert native_repeats(documents, vocab_size, length, threads) == naive_repeats(documents, length)


@settings(max_examples=25, deadline=None)
@given(corpus=CORPORA, length=st.integers(1, 6))
def test_repeats_are_told_by_document(tmp_path_factory: pytest.TempPathFactory, corpus, length: int) -> None:
    vocab_size, documents = corpus
    folder = tmp_path_factory.mktemp("index")
    found = find_repeats(opened(folder, [documents], vocab_size), length)
    expected = naive_repeats(documents, length)
    assert spans_of(found) == expected
    assert found.repeated.num_tokens == sum(stop - start for _, start, stop in expected[0])
    for number in range(len(documents)):
        assert found.later.of(number) == [(a, b) for document, a, b in expected[1] if document == number]


def opened(folder: Path, segments: Sequence[Documents], vocab_size: int = 256) -> OpenIndex:
    manifest = write_index(folder, segments, vocab_size=vocab_size, tables=False)
    vocabulary = NumberVocabulary(vocab_size)
    found = tuple(open_segment(folder, entry, vocabulary) for entry in manifest.segments)
    return OpenIndex(folder, manifest, vocabulary, found)


def test_one_segment_is_needed(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="has 2 segments.*index merge"):
        find_repeats(opened(tmp_path, [[[1, 2]], [[1, 2]]]), 2)


def test_a_run_of_no_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        find_repeats(opened(tmp_path, [[[1, 2]]]), 0)


@pytest.mark.parametrize("name", ["tokens.bin", "suffixes.bin"])
def test_an_altered_file_is_told_by_name_and_byte(tmp_path: Path, name: str) -> None:
    index = opened(tmp_path, [[[1, 2, 3, 1, 2, 3]]])
    path = index.segments[0].folder / name
    content = bytearray(path.read_bytes())
    content[1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{name}, byte 0"):
        find_repeats(index, 2)


def test_what_no_builder_writes_does_no_harm() -> None:
    symbols = symbols_of([[1, 2, 3], [1, 2, 3]])
    tokens = np.frombuffer(packed_symbols(symbols, 1), np.uint8)
    sizes = {"symbol_bytes": 1, "position_bits": 3, "num_symbols": 8, "num_tokens": 6, "length": 2}
    right = np.frombuffer(bit_packed(sorted_suffixes(symbols), 3), np.uint8)
    assert [each.tolist() for each in _native.find_repeats(tokens, right, **sizes)] == [
        [0, 4],
        [3, 7],
        [4],
        [7],
    ]
    wrong = np.frombuffer(bit_packed([7] * 6, 3), np.uint8)
    assert _native.find_repeats(tokens, wrong, **sizes)[0].tolist() == []
    outside = np.frombuffer(bit_packed([15] * 6, 4), np.uint8)
    with pytest.raises(_native.DamagedFileError, match=r"suffixes.bin, byte 0: .* outside"):
        _native.find_repeats(tokens, outside, **sizes | {"position_bits": 4})
    for name, value in {
        "symbol_bytes": 5, "position_bits": 0, "num_symbols": 2**62, "num_tokens": 9, "length": 0
    }.items():  # fmt: skip
        with pytest.raises(ValueError):
            _native.find_repeats(tokens, right, **sizes | {name: value})
