"""Exact long repeats inside a corpus: every run of tokens that stands in it at two places or more.

Read off the order of the suffixes, where equal runs are neighbours (Lee et al. 2022, arXiv:2107.06499,
section 4.1, find them so). Nothing is hashed and no run is missed, however long it is.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from potstill import _native
from potstill.corpus.checksums import verify_file
from potstill.corpus.manifest import TOKENS
from potstill.corpus.store import Store
from potstill.errors import ConfigError, RefusedError
from potstill.index.native_errors import damage_told
from potstill.index.open import OpenIndex, OpenSegment
from potstill.index.results import Int64s
from potstill.index.segment_files import SUFFIXES, check_files
from potstill.index.shards import is_sharded

_CHUNK_DOCUMENTS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class DocumentSpans:
    """Pieces of documents, in their order; none touches the next.

    documents      [M] int64: numbers
    starts, stops  [M] int64: tokens of the document
    """

    documents: Int64s
    starts: Int64s
    stops: Int64s

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def num_tokens(self) -> int:
        return int((self.stops - self.starts).sum())

    def of(self, document: int) -> list[tuple[int, int]]:
        """(start, stop) of each piece of one document."""
        first, last = np.searchsorted(self.documents, [document, document + 1])
        return list(zip(self.starts[first:last].tolist(), self.stops[first:last].tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """What a corpus holds more than once.

    min_tokens   shortest run, in tokens
    lengths      [D] int64: tokens of each document
    repeated     every token that stands in a run found at two places or more, in any document
    later        the same without the first place of each run: what can go, and every run stays once
    """

    min_tokens: int
    lengths: Int64s
    repeated: DocumentSpans
    later: DocumentSpans

    def later_shares(self) -> NDArray[np.float64]:
        """[D] the share of each document's tokens that stands in `later`; 0 for an empty one."""
        held = np.bincount(
            self.later.documents, self.later.stops - self.later.starts, minlength=len(self.lengths)
        )
        shares: NDArray[np.float64] = held / np.maximum(self.lengths, 1)
        return shares


def find_repeats(index: OpenIndex, min_tokens: int, *, threads: int = 1) -> Repeats:
    """The repeats of at least `min_tokens` tokens; copies may overlap, none crosses a document's end.

    Takes two bits a token of memory and one pass over the index. RefusedError unless the index is a single
    segment, as a new or merged one is: copies in two segments are no neighbours.
    """
    if min_tokens < 1:
        raise ConfigError(f"The shortest repeat is {min_tokens} tokens; it must be at least 1.")
    if len(index.segments) != 1:
        found = f"{index.path} has {len(index.segments)} segments; repeats are found within one."
        if is_sharded(index.path):
            raise RefusedError(f"{found} They are its shards: build an index without --shards for this.")
        raise RefusedError(f"{found} Run `potstill index merge {index.path}` first.")
    (segment,) = index.segments
    header, sums = segment.header, check_files(segment.folder, segment.header)
    for name in (TOKENS, SUFFIXES):
        verify_file(segment.folder / name, sums[name])
    with damage_told():
        starts, stops, later_starts, later_stops = _native.find_repeats(
            _mapped(segment, TOKENS),
            _mapped(segment, SUFFIXES),
            symbol_bytes=header.symbol_bytes,
            position_bits=header.position_bits,
            num_symbols=header.num_symbols,
            num_tokens=header.num_tokens,
            length=min_tokens,
            threads=threads,
        )
    firsts = _first_symbols(segment.store)
    return Repeats(
        min_tokens=min_tokens,
        lengths=np.diff(firsts) - 1,
        repeated=_placed(starts, stops, firsts),
        later=_placed(later_starts, later_stops, firsts),
    )


def _mapped(segment: OpenSegment, name: str) -> NDArray[np.uint8]:
    return np.memmap(segment.folder / name, np.uint8, "r")


def _first_symbols(store: Store) -> Int64s:
    """[D + 1] where each document begins in the stream; last, where the stream ends."""
    borders = [*range(0, store.num_documents + 1, _CHUNK_DOCUMENTS), store.num_documents + 1]
    pieces = [
        store.documents(first, stop)["first_symbol"].astype(np.int64) for first, stop in pairwise(borders)
    ]
    return np.concatenate([np.zeros(0, np.int64), *pieces])


def _placed(starts: NDArray[np.uint64], stops: NDArray[np.uint64], firsts: Int64s) -> DocumentSpans:
    begin, end = starts.astype(np.int64), stops.astype(np.int64)
    documents = np.searchsorted(firsts, begin, side="right") - 1
    offsets = firsts[documents]
    return DocumentSpans(documents, begin - offsets, end - offsets)
