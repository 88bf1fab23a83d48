"""Which documents of an index a user means: by their numbers, or by the files that they came from."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.store import Store
from potstill.errors import UsageError
from potstill.index.numbering import Numbering
from potstill.index.open import OpenIndex

Mask = NDArray[np.bool_]
_CHUNK_DOCUMENTS = 1 << 16


def numbering_of(opened: OpenIndex) -> Numbering:
    counts = [segment.entry.num_documents for segment in opened.segments]
    return Numbering(opened.signs, counts, opened.deleted())


def live_documents(opened: OpenIndex) -> dict[int, Mask]:
    """For each positive segment, by its place, which of its documents are not deleted."""
    masks = {
        number: np.ones(segment.entry.num_documents, bool)
        for number, segment in enumerate(opened.segments)
        if segment.entry.sign > 0
    }
    for number, first, stop in opened.deleted():
        masks[number][first:stop] = False
    return masks


def select_documents(
    opened: OpenIndex, numbers: Sequence[int] = (), sources: Sequence[Path] = ()
) -> dict[int, Mask]:
    """The live documents with these numbers and of these source files, for each segment that has any.

    UsageError for a number that no document has or whose document is deleted, and for a source that no live
    document is from.
    """
    live, numbering = live_documents(opened), numbering_of(opened)
    chosen = {number: np.zeros_like(mask) for number, mask in live.items()}
    for number in numbers:
        place = numbering.place_of(number)
        if not live[place.segment][place.document]:
            raise UsageError(f"Document {number} is deleted already.")
        chosen[place.segment][place.document] = True
    for source in sources:
        num_found = 0
        for number, mask in live.items():
            found = mask & _from_source(opened.segments[number].store, source)
            chosen[number] |= found
            num_found += int(found.sum())
        if not num_found:
            raise UsageError(f"No live document of the index is from {source}. Check the spelling.")
    return {number: mask for number, mask in chosen.items() if mask.any()}


def _from_source(store: Store, source: Path) -> Mask:
    """Which documents of the store came from that file, however its path is written."""
    wanted = os.path.abspath(source)
    numbers = [
        number
        for number in range(store.num_sources)
        if (path := store.source(number).path) == source or os.path.abspath(path) == wanted
    ]
    masks = [np.isin(rows, numbers) for rows in _source_columns(store)] if numbers else []
    return np.concatenate(masks) if masks else np.zeros(store.num_documents, bool)


def _source_columns(store: Store) -> Iterator[NDArray[np.uint32]]:
    for first in range(0, store.num_documents, _CHUNK_DOCUMENTS):
        yield store.documents(first, min(first + _CHUNK_DOCUMENTS, store.num_documents))["source"]
