"""Document numbers of an index: one count over the documents of all segments, deleted ones included.

A negative segment has no numbers of its own: it only says which documents of the others are deleted.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import index

import numpy as np
from numpy.typing import NDArray

from potstill.errors import UsageError
from potstill.index.results import Bools, Int64s


@dataclass(frozen=True)
class DocumentPlace:
    """A document by its segment's place in the index and its number in that segment."""

    segment: int
    document: int


class Numbering:
    """signs, num_documents  of every segment, in the manifest's order; signs are +1 or -1
    deleted                  (segment, first, stop) of runs of deleted documents of positive segments
    """

    def __init__(
        self, signs: Sequence[int], num_documents: Sequence[int], deleted: Iterable[tuple[int, int, int]] = ()
    ) -> None:
        self._signs = list(signs)
        # The segments whose documents have numbers.
        self.positive = [segment for segment, sign in enumerate(signs) if sign > 0]
        live = [count if sign > 0 else 0 for sign, count in zip(signs, num_documents, strict=True)]
        self._firsts = [0, *accumulate(live)]
        self._masks: dict[int, Bools] = {}
        for segment, first, stop in deleted:
            if segment not in self._masks:
                self._masks[segment] = np.zeros(live[segment], bool)
            self._masks[segment][first:stop] = True
        self.num_deleted = int(sum(mask.sum() for mask in self._masks.values()))

    @property
    def numbers(self) -> range:
        """Every document number there is, those of deleted documents included."""
        return range(self._firsts[-1])

    def is_positive(self, segment: int) -> bool:
        return self._signs[segment] > 0

    def check(self, segment: int, place: int) -> None:
        """UsageError unless the segment holds documents of the index, and the place in it is not negative."""
        if segment not in self.positive or not 0 <= place < 2**63:
            raise UsageError(
                f"There is no place {place} of segment {segment}: the index has segments {self.positive}."
            )

    def place_of(self, number: int) -> DocumentPlace:
        # Of a numpy integer a range asks every number.
        number = index(number)
        if number not in self.numbers:
            raise UsageError(f"There is no document {number}: the index has {len(self.numbers):,}, from 0.")
        segment = bisect_right(self._firsts, number) - 1
        return DocumentPlace(segment, number - self._firsts[segment])

    def first_number(self, segment: int) -> int:
        return self._firsts[segment]

    def numbers_of(self, segment: int, documents: NDArray[np.uint64]) -> Int64s:
        return documents.astype(np.int64) + self._firsts[segment]

    def is_deleted(self, place: DocumentPlace) -> bool:
        mask = self._masks.get(place.segment)
        return bool(mask is not None and mask[place.document])

    def live(self, segment: int, documents: NDArray[np.uint64]) -> Bools | None:
        """Which of these documents are not deleted; None where the segment has lost none."""
        mask = self._masks.get(segment)
        return None if mask is None else ~mask[documents]
