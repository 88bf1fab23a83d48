"""The native reader's view of segments, over lists: to test the code above it apart from files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ids = Sequence[int]


@dataclass(frozen=True)
class NaiveSegment:
    documents: Sequence[Ids]
    sign: int = 1

    @cached_property
    def symbols(self) -> list[int]:
        return [symbol for ids in self.documents for symbol in [*(token_id + 1 for token_id in ids), 0]]

    @cached_property
    def starts(self) -> list[int]:
        return [0, *np.cumsum([len(ids) + 1 for ids in self.documents]).tolist()]

    @cached_property
    def suffixes(self) -> list[int]:
        """Positions of tokens in the order of what begins there; a suffix ends with its document."""
        tokens = [at for at, symbol in enumerate(self.symbols) if symbol]
        return sorted(tokens, key=lambda at: (self.symbols[at : self.symbols.index(0, at) + 1], at))

    def range(self, ids: Ids) -> tuple[int, int]:
        wanted = [token_id + 1 for token_id in ids]
        found = [
            rank for rank, at in enumerate(self.suffixes) if self.symbols[at : at + len(wanted)] == wanted
        ]
        return (found[0], found[-1] + 1) if found else (0, 0)


class NaiveReader:
    def __init__(self, segments: Sequence[NaiveSegment]) -> None:
        self.segments = segments

    def count(self, ids: Ids) -> int:
        return sum(
            segment.sign * (stop - first) for segment in self.segments for first, stop in [segment.range(ids)]
        )

    def ranges(self, ids: Ids) -> list[tuple[int, int, int]]:
        found = [(number, *segment.range(ids)) for number, segment in enumerate(self.segments)]
        return [each for each in found if each[1] < each[2]]

    def positions(self, segment: int, first: int, stop: int) -> NDArray[np.uint64]:
        return np.array(self.segments[segment].suffixes[first:stop], np.uint64)

    def documents(
        self, segment: int, positions: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        assert positions.dtype == np.uint64
        starts = np.array(self.segments[segment].starts, np.uint64)
        documents = np.searchsorted(starts, positions, side="right") - 1
        return documents.astype(np.uint64), positions - starts[documents]

    def document_bounds(self, segment: int, document: int) -> tuple[int, int]:
        starts = self.segments[segment].starts
        return starts[document], starts[document + 1] - 1

    def symbols(self, segment: int, first: int, stop: int) -> NDArray[np.uint32]:
        symbols = self.segments[segment].symbols
        assert 0 <= first <= stop <= len(symbols)
        return np.array(symbols[first:stop], np.uint32)
