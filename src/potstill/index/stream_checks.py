"""Whether the files of a store agree with each other, read from end to end in bounded memory."""

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.manifest import DOCUMENT_BYTES, DOCUMENTS, TOKENS
from potstill.corpus.store import Store
from potstill.errors import DamagedError

_CHUNK_DOCUMENTS = 1 << 16
_CHUNK_SYMBOLS = 1 << 20


def check_documents(store: Store) -> None:
    """Whether the rows of documents.bin divide the stream exactly at its document ends.

    DamagedError names the row's byte.
    """
    position = 0
    for first in range(0, store.num_documents, _CHUNK_DOCUMENTS):
        rows = store.documents(first, min(first + _CHUNK_DOCUMENTS, store.num_documents) + 1)
        starts = rows["first_symbol"].astype(np.int64)
        wrong = np.flatnonzero(np.diff(starts) < 1)
        if starts[0] != position or wrong.size or starts[-1] > store.num_symbols:
            raise _wrong_row(
                store, first + int(wrong[0] if wrong.size else 0), "does not follow the one before"
            )
        unknown = np.flatnonzero(rows["source"][:-1] >= store.num_sources)
        if unknown.size:
            raise _wrong_row(store, first + int(unknown[0]), "names a source that is not there")
        _check_ends(store, starts, first)
        position = int(starts[-1])
    if position != store.num_symbols:
        raise _wrong_row(store, store.num_documents, "stands before the stream's end")


def check_equal(one: Store, first: int, other: Store, other_first: int, count: int) -> None:
    """Whether `count` symbols of two stores are the same; DamagedError names a byte of the second."""
    for done in range(0, count, _CHUNK_SYMBOLS):
        size = min(_CHUNK_SYMBOLS, count - done)
        left = one.symbols(first + done, first + done + size)
        right = other.symbols(other_first + done, other_first + done + size)
        differs = np.flatnonzero(left != right)
        if differs.size:
            byte = (other_first + done + int(differs[0])) * other.facts.symbol_bytes
            raise DamagedError(
                f"{other.folder / TOKENS}, byte {byte:,}: it is not what {one.folder / TOKENS} holds there."
            )


def _check_ends(store: Store, starts: NDArray[np.int64], first: int) -> None:
    """Whether documents end where the next ones begin, and nowhere else; `first` is the first's number."""
    ends = starts[1:] - 1
    for begin in range(int(starts[0]), int(starts[-1]), _CHUNK_SYMBOLS):
        stop = min(begin + _CHUNK_SYMBOLS, int(starts[-1]))
        found = np.flatnonzero(store.symbols(begin, stop) == 0) + begin
        low, high = np.searchsorted(ends, [begin, stop])
        if not np.array_equal(found, ends[low:high]):
            differs = np.setxor1d(found, ends[low:high])
            raise _wrong_row(
                store, first + int(np.searchsorted(ends, differs[0])), "does not end where the stream says"
            )


def _wrong_row(store: Store, document: int, what: str) -> DamagedError:
    place = f"{store.folder / DOCUMENTS}, byte {document * DOCUMENT_BYTES:,}"
    return DamagedError(f"{place}: the row of document {document:,} {what}.")
