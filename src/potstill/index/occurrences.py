"""Where an n-gram stands: enumerated as it is asked for, so that a frequent one is quick to begin with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from potstill.index.native_errors import query_told
from potstill.index.numbering import Numbering
from potstill.index.query import at_least
from potstill.index.results import Int64s, Occurrence

if TYPE_CHECKING:
    from potstill._native import Reader

_FIRST_CHUNK = 256
_LARGEST_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """documents [N] int64: numbers; token_offsets [N] int64: tokens before the occurrence in its document."""

    documents: Int64s
    token_offsets: Int64s


class Occurrences:
    """The places of an n-gram in the order of what follows it, one segment after another.

    query  the ids looked up
    count  all occurrences, whatever the limit
    limit  how many are enumerated; None: all

    Iterating gives `Occurrence`s; it can be begun again. Deleted documents are left out.
    """

    def __init__(
        self,
        reader: "Reader",
        numbering: Numbering,
        query: Sequence[int],
        *,
        count: int,
        limit: int | None = None,
    ) -> None:
        self._reader, self._numbering = reader, numbering
        self.query, self.count = tuple(query), count
        self.limit = None if limit is None else at_least("limit", limit, 0)

    def __iter__(self) -> Iterator[Occurrence]:
        return islice(self._all(), len(self))

    def __len__(self) -> int:
        return self.count if self.limit is None else min(self.limit, self.count)

    def places(self) -> Places:
        """The places as arrays, in document order where there is no limit."""
        found = list(self._chunks(len(self)))
        if not found:
            return Places(np.zeros(0, np.int64), np.zeros(0, np.int64))
        documents = np.concatenate([places.documents for places in found])[: len(self)]
        offsets = np.concatenate([places.token_offsets for places in found])[: len(self)]
        if self.limit is None:
            order = np.lexsort((offsets, documents))
            documents, offsets = documents[order], offsets[order]
        return Places(documents, offsets)

    def _all(self) -> Iterator[Occurrence]:
        for places in self._chunks(len(self)):
            yield from map(Occurrence, places.documents.tolist(), places.token_offsets.tolist())

    def _chunks(self, wanted: int) -> Iterator[Places]:
        if wanted == 0:
            # All of them may be deleted; then there is nothing to walk over.
            return
        chunk = max(min(wanted, _FIRST_CHUNK), 1)
        with query_told:
            ranges = self._reader.ranges(list(self.query))
        for segment, first, stop in ranges:
            while self._numbering.is_positive(segment) and first < stop:
                until = min(first + chunk, stop)
                places = self._live(segment, first, until)
                yield places
                wanted -= len(places.documents)
                if wanted <= 0:
                    return
                first, chunk = until, min(chunk * 4, _LARGEST_CHUNK)

    def _live(self, segment: int, first: int, stop: int) -> Places:
        with query_told:
            positions = self._reader.positions(segment, first, stop)
            documents, offsets = self._reader.documents(segment, positions)
        live = self._numbering.live(segment, documents)
        if live is not None:
            documents, offsets = documents[live], offsets[live]
        return Places(self._numbering.numbers_of(segment, documents), offsets.astype(np.int64))
