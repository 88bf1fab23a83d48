"""Chosen documents of several stores written as a store of their own, as if they had been read afresh."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.byte_offsets import LISTED
from potstill.corpus.encoding import EncodedBatch
from potstill.corpus.manifest import DOCUMENTS, StoreFacts, write_corpus_facts
from potstill.corpus.store import Store
from potstill.corpus.store_writer import StoreWriter, room_for
from potstill.errors import DamagedError
from potstill.progress import Progress, Task

_CHUNK_SYMBOLS = 1 << 20
_CHUNK_DOCUMENTS = 1 << 16
_NO_PIECES = np.zeros(1, np.int64)

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Chosen:
    """Documents of a store: runs [first, stop) in ascending order that do not touch."""

    store: Store
    runs: Runs

    @property
    def num_documents(self) -> int:
        return sum(stop - first for first, stop in self.runs)


def runs_of(chosen: NDArray[np.bool_]) -> Runs:
    """The documents whose place is True, as runs [first, stop)."""
    borders = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    return tuple((int(first), int(stop)) for first, stop in borders.reshape(-1, 2))


def copy_documents(chosen: Sequence[Chosen], folder: Path, progress: Progress) -> StoreFacts:
    """Write the store of the chosen documents, in order, into the empty `folder`.

    Its bytes are those of a store that is built from these documents: symbols get the width that they need,
    and a source goes that had documents and has lost them all. DiskFull with the bytes that are missing.
    """
    total = sum(each.num_documents for each in chosen)
    with (
        closing(StoreWriter(folder, chosen[0].store.facts.vocabulary)) as writer,
        room_for(writer),
        progress.task("copy", total, "documents") as task,
    ):
        for each in chosen:
            _copy(each, writer, task)
            writer.share_done += each.num_documents / max(total, 1)
        facts = writer.finish()
    write_corpus_facts(folder, facts)
    return facts


def _copy(chosen: Chosen, writer: StoreWriter, task: Task) -> None:
    store = chosen.store
    had, kept = _sources_of(store, ((0, store.num_documents),)), _sources_of(store, chosen.runs)
    numbers = np.zeros(store.num_sources, np.uint32)
    for source in np.flatnonzero(kept | ~had):
        numbers[source] = writer.add_source(store.source(int(source)))
    for first, stop in _chunks(chosen.runs):
        _copy_run(store, first, stop, numbers, writer)
        task.advance(stop - first)


def _sources_of(store: Store, runs: Runs) -> NDArray[np.bool_]:
    """Which sources the documents of the runs are from."""
    found = np.zeros(store.num_sources, bool)
    for first, stop in _chunks(runs):
        sources = store.documents(first, stop)["source"]
        if int(sources.max(initial=0)) >= max(store.num_sources, 1):
            raise DamagedError(f"{store.folder / DOCUMENTS}: a document names a source that is not there.")
        found[sources] = True
    return found


def _copy_run(store: Store, first: int, stop: int, numbers: NDArray[np.uint32], writer: StoreWriter) -> None:
    rows = store.documents(first, stop + 1)
    starts = rows["first_symbol"].astype(np.int64)
    for begin in range(int(starts[0]), int(starts[-1]), _CHUNK_SYMBOLS):
        end = min(begin + _CHUNK_SYMBOLS, int(starts[-1]))
        low, high = np.searchsorted(starts[:-1], [begin, end])
        moved = rows[low:high].copy()
        moved["first_symbol"] -= np.uint64(begin)
        moved["source"] = numbers[moved["source"]]
        writer.append(_batch(store, begin, end), moved)


def _batch(store: Store, begin: int, end: int) -> EncodedBatch:
    if store.facts.vocabulary.kind == "bytes":
        return EncodedBatch(store.symbols(begin, end), _NO_PIECES)
    layout = store.offsets.layout(begin, end)
    # The layout begins at a multiple of its own.
    cut = slice(begin - layout.first, None)
    symbols, kinds = layout.symbols[cut], layout.kinds[cut]
    is_listed: NDArray[np.bool_] = (kinds == LISTED) & (symbols != 0)
    lengths: NDArray[Any] = (layout.stops - layout.starts)[cut]
    return EncodedBatch(
        symbols,
        _NO_PIECES,
        before=layout.before[cut],
        kinds=kinds,
        gaps=layout.gaps[cut][is_listed],
        lengths=lengths[is_listed],
    )


def _chunks(runs: Runs) -> Iterator[tuple[int, int]]:
    for first, stop in runs:
        for head in range(first, stop, _CHUNK_DOCUMENTS):
            yield head, min(head + _CHUNK_DOCUMENTS, stop)
