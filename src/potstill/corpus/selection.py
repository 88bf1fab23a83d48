"""Some documents of some stores as one new store: what deduplication, deletion and merging write."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from potstill.corpus.byte_offsets import LISTED
from potstill.corpus.encoding import EncodedBatch
from potstill.corpus.manifest import DOCUMENT_ROW, StoreFacts
from potstill.corpus.store import Store
from potstill.corpus.store_writer import Rows, StoreWriter, room_for
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import UsageError
from potstill.progress import Progress, Silent

_CHUNK_SYMBOLS = 1 << 18
_CHUNK_DOCUMENTS = 1 << 18


class Selection(NamedTuple):
    """`kept` [num_documents] says which documents of `store` are taken, all of them where it is None."""

    store: Store
    kept: npt.NDArray[np.bool_] | None = None


def write_selection(
    selections: Sequence[Selection], folder: Path, progress: Progress | None = None
) -> StoreFacts:
    """Write the store files, without corpus.json and vocabulary, into the empty `folder`, on the disk.

    The documents keep their order, and the files are those that one build of these documents would give.
    UsageError where the stores are not of one vocabulary, DiskFull with the bytes that are missing.
    """
    vocabulary = _one_vocabulary(selections)
    writer = StoreWriter(folder, vocabulary)
    total = sum(_num_symbols(selection) for selection in selections)
    try:
        with room_for(writer), (progress or Silent()).task("copy", total, "tokens") as task:
            for selection in selections:
                numbers = _SourceNumbers(selection.store, writer)
                for first, stop in _runs(selection):
                    for batch, rows in _batches(selection.store, first, stop):
                        rows["source"] = numbers.renumbered(rows["source"])
                        writer.append(batch, rows)
                        task.advance(len(batch.symbols))
                        writer.share_done += len(batch.symbols) / total
            return writer.finish()
    finally:
        writer.close()


def _one_vocabulary(selections: Sequence[Selection]) -> VocabularyFacts:
    found = {selection.store.facts.vocabulary for selection in selections}
    if len(found) != 1:
        raise UsageError("The stores have different vocabularies (or there is none): they cannot be one.")
    return found.pop()


def _num_symbols(selection: Selection) -> int:
    if selection.kept is None:
        return selection.store.num_symbols
    firsts = selection.store.documents()["first_symbol"].astype(np.int64)
    return int(np.diff(firsts)[selection.kept].sum())


def _runs(selection: Selection) -> Iterator[tuple[int, int]]:
    """Kept documents [first, stop) that follow one another."""
    num_documents = selection.store.num_documents
    kept = np.ones(num_documents, bool) if selection.kept is None else selection.kept
    assert len(kept) == num_documents
    edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)


def _batches(store: Store, first: int, stop: int) -> Iterator[tuple[EncodedBatch, Rows]]:
    """Documents [first, stop) in chunks of symbols, each with the rows of the documents that begin in it."""
    for begin in range(first, stop, _CHUNK_DOCUMENTS):
        rows = store.documents(begin, min(begin + _CHUNK_DOCUMENTS, stop) + 1)
        firsts = rows["first_symbol"].astype(np.int64)
        for symbol in range(int(firsts[0]), int(firsts[-1]), _CHUNK_SYMBOLS):
            end = min(symbol + _CHUNK_SYMBOLS, int(firsts[-1]))
            low, high = np.searchsorted(firsts[:-1], [symbol, end])
            chosen = np.array(rows[low:high], DOCUMENT_ROW)
            chosen["first_symbol"] -= np.uint64(symbol)
            yield _batch(store, symbol, end), chosen


def _batch(store: Store, first: int, stop: int) -> EncodedBatch:
    none = np.zeros(0, np.int64)
    if store.facts.vocabulary.kind == "bytes":
        return EncodedBatch(store.symbols(first, stop), none)
    layout = store.offsets.layout(first, stop)
    here = slice(first - layout.first, None)
    symbols, kinds = layout.symbols[here], layout.kinds[here]
    is_listed = (kinds == LISTED) & (symbols != 0)
    return EncodedBatch(
        symbols,
        none,
        before=layout.before[here],
        kinds=kinds,
        gaps=layout.gaps[here][is_listed],
        lengths=(layout.stops - layout.starts)[here][is_listed],
    )


class _SourceNumbers:
    """Numbers of one store's sources in the new one, given in the order in which documents name them."""

    def __init__(self, store: Store, writer: StoreWriter) -> None:
        self._store, self._writer = store, writer
        self._number: dict[int, int] = {}

    def renumbered(self, sources: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        found, places, inverse = np.unique(sources, return_index=True, return_inverse=True)
        for source in found[np.argsort(places)].tolist():
            if source not in self._number:
                self._number[source] = self._writer.add_source(self._store.source(source))
        numbers = np.array([self._number[source] for source in found.tolist()], np.uint32)
        return numbers[inverse]
