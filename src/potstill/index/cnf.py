"""Conjunctive search: occurrences of a rarest clause that have every other clause near them, counted exactly.

A clause is a list of n-grams, any of which will do. Of the clauses the one with the fewest occurrences (of
equals the first) is the anchor; what is counted are its occurrences near which every other clause has an
occurrence that starts, within a window of tokens on either side, in the same document.

Not a subsample: all positions of the clauses are taken from the index, sorted and joined. A budget ends the
enumeration of a clause early, and then the answer is a lower and an upper bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.errors import UsageError
from potstill.index.numbering import Numbering
from potstill.index.results import Bools, Hit, Int64s, SearchCount

if TYPE_CHECKING:
    from potstill._native import Reader

Ngram = tuple[int, ...]
Clause = tuple[Ngram, ...]
# Reading the text around an anchor takes about as long as fetching and sorting so many positions.
_POSITIONS_A_READ = 64
_SYMBOLS_A_POSITION = 64
_SYMBOL_BYTES = 4


class _Found(NamedTuple):
    """Sorted positions of a clause in one segment; `missing`: how many a budget left out."""

    positions: Int64s
    missing: int


class _Places(NamedTuple):
    """Positions in a segment, ascending, with their documents and the tokens before them in those."""

    positions: Int64s
    documents: NDArray[np.uint64]
    offsets: Int64s


class _Hits(NamedTuple):
    """Anchors of a segment that have all clauses near them; `unsure`: how many more may have."""

    segment: int
    positions: Int64s
    documents: Int64s
    offsets: Int64s
    unsure: int


@dataclass(frozen=True)
class CnfSearch:
    """clauses          n-grams of each, as ids
    window_tokens    how far from an anchor's start the others may start, on either side
    budget           most occurrences to look at in a clause; None: all, and the answer is exact
    """

    reader: "Reader"
    numbering: Numbering
    clauses: tuple[Clause, ...]
    window_tokens: int
    budget: int | None = None

    def run(self, limit: int | None) -> SearchCount:
        anchor = self._anchor()
        hits = list(self._hits(anchor))
        documents = [hit.documents for hit in hits]
        count = sum(map(len, documents))
        return SearchCount(
            clauses=self.clauses,
            anchor=anchor,
            count=count,
            most=count + sum(hit.unsure for hit in hits),
            num_documents=sum(len(np.unique(each)) for each in documents),
            occurrences=tuple(islice(self._told(hits, self.clauses[anchor]), limit)),
        )

    def _told(self, hits: Sequence[_Hits], clause: Clause) -> Iterator[Hit]:
        for hit in hits:
            columns = (hit.positions, hit.documents, hit.offsets)
            for position, document, offset in zip(*(column.tolist() for column in columns), strict=True):
                _, stop = self.reader.document_bounds(hit.segment, self.numbering.place_of(document).document)
                stop = min(stop, position + max(map(len, clause)))
                text = (self.reader.symbols(hit.segment, position, stop) - np.uint32(1)).tolist()
                # None of the n-grams begins another, so exactly one stands here.
                length = next(len(ngram) for ngram in clause if text[: len(ngram)] == list(ngram))
                yield Hit(document, offset, length)

    def _anchor(self) -> int:
        totals = [sum(map(self.reader.count, map(list, clause))) for clause in self.clauses]
        return totals.index(min(totals))

    def _hits(self, anchor: int) -> Iterator[_Hits]:
        left = [self.budget] * len(self.clauses)
        for segment in self.numbering.positive:
            anchors = self._positions(segment, anchor, left)
            places = self._places(segment, anchors.positions)
            sure, possible = np.ones((2, len(places.positions)), bool)
            for number in range(len(self.clauses)):
                if number != anchor and len(sure):
                    near, is_whole = self._near(segment, places, number, left)
                    sure &= near
                    possible &= near | (not is_whole)
            unsure = int(np.count_nonzero(possible)) - int(np.count_nonzero(sure)) + anchors.missing
            numbers = self.numbering.numbers_of(segment, places.documents[sure])
            yield _Hits(segment, places.positions[sure], numbers, places.offsets[sure], unsure)

    def _ranges(self, segment: int, clause: int) -> list[tuple[int, int]]:
        return [
            (first, stop)
            for ngram in self.clauses[clause]
            for at, first, stop in self.reader.ranges(list(ngram))
            if at == segment
        ]

    def _positions(self, segment: int, clause: int, left: list[int | None]) -> _Found:
        """Where the clause's n-grams start: none begins another, so no place is found twice.

        `left` is what each clause may still look at; it is spent here.
        """
        pieces, missing = [np.zeros(0, np.int64)], 0
        for first, stop in self._ranges(segment, clause):
            budget = left[clause]
            until = stop if budget is None else min(stop, first + budget)
            if budget is not None:
                left[clause] = budget - (until - first)
            pieces.append(self.reader.positions(segment, first, until).astype(np.int64))
            missing += stop - until
        return _Found(np.sort(np.concatenate(pieces)), missing)

    def _places(self, segment: int, positions: Int64s) -> _Places:
        documents, offsets = self.reader.documents(segment, positions.view(np.uint64))
        live = self.numbering.live(segment, documents)
        if live is not None:
            positions, documents, offsets = positions[live], documents[live], offsets[live]
        return _Places(positions, documents, offsets.astype(np.int64))

    def _near(
        self, segment: int, anchors: _Places, clause: int, left: list[int | None]
    ) -> tuple[Bools, bool]:
        """Which anchors have the clause near them, and whether every occurrence of it was looked at."""
        count = sum(stop - first for first, stop in self._ranges(segment, clause))
        if reading_is_quicker(count, len(anchors.positions), self.window_tokens):
            return self._near_by_reading(segment, anchors, self.clauses[clause]), True
        found = self._positions(segment, clause, left)
        return self._near_by_joining(segment, anchors, found.positions), found.missing == 0

    def _near_by_joining(self, segment: int, anchors: _Places, others: Int64s) -> Bools:
        """`others` ascend. The nearest on either side decides: one farther off is near only if that is."""
        if not len(others):
            return np.zeros(len(anchors.positions), bool)
        positions = anchors.positions
        at = np.searchsorted(others, positions)
        before, after = others[np.maximum(at, 1) - 1], others[np.minimum(at, len(others) - 1)]
        reach = np.minimum(anchors.offsets, self.window_tokens)
        near: Bools = (before <= positions) & (positions - before <= reach)
        rows = np.flatnonzero(~near & (after >= positions) & (after - positions <= self.window_tokens))
        _, offsets = self.reader.documents(segment, after[rows].view(np.uint64))
        # In the same document as the anchor: both are as far from its start as they are apart.
        near[rows] = after[rows] - offsets.astype(np.int64) == positions[rows] - anchors.offsets[rows]
        return near

    def _near_by_reading(self, segment: int, anchors: _Places, clause: Clause) -> Bools:
        """Look into the text around each anchor: for few anchors beside very frequent n-grams."""
        patterns = [(np.array(ngram, "<u4") + 1).tobytes() for ngram in clause]
        longest = max(map(len, clause))
        near = []
        for position, document in zip(anchors.positions.tolist(), anchors.documents.tolist(), strict=True):
            first, stop = self.reader.document_bounds(segment, document)
            first = max(first, position - self.window_tokens)
            last = position + self.window_tokens
            text = self.reader.symbols(segment, first, min(stop, last + longest)).astype("<u4").tobytes()
            near.append(any(_stands_in(text, pattern, last - first) for pattern in patterns))
        return np.array(near, bool)


def reading_is_quicker(num_positions: int, num_anchors: int, window_tokens: int) -> bool:
    """Whether to read around so many anchors rather than to fetch and sort so many positions."""
    return num_positions > num_anchors * (_POSITIONS_A_READ + window_tokens // _SYMBOLS_A_POSITION)


def _stands_in(text: bytes, pattern: bytes, last: int) -> bool:
    """Whether `pattern` starts at one of the symbols 0 to `last` of `text`."""
    at = text.find(pattern)
    while at % _SYMBOL_BYTES and at >= 0:
        at = text.find(pattern, at + 1)
    return 0 <= at <= last * _SYMBOL_BYTES


def minimal_clause(ngrams: Sequence[Sequence[int]]) -> Clause:
    """The n-grams without those that another one begins: wherever `a b` starts, `a` starts too."""
    kept: list[Ngram] = []
    for ngram in sorted({tuple(ngram) for ngram in ngrams}, key=len):
        if not any(ngram[: len(shorter)] == shorter for shorter in kept):
            kept.append(ngram)
    return tuple(sorted(kept))


def checked_clauses(clauses: Sequence[Sequence[Sequence[int]]]) -> tuple[Clause, ...]:
    """Clauses in their shortest form; UsageError for none, an empty one or an empty n-gram."""
    if not clauses or not all(clauses):
        raise UsageError("A search needs at least one clause, and every clause at least one n-gram.")
    if not all(len(ngram) for clause in clauses for ngram in clause):
        raise UsageError("An n-gram of a search is empty: it would stand everywhere. Leave it out.")
    return tuple(map(minimal_clause, clauses))
