"""Documents that another document of the corpus makes superfluous: equal ones, and nearly equal ones.

Nearly equal is a Jaccard similarity of the sets of their runs of 5 tokens (20 bytes, where a token is a byte)
at or above a threshold. Candidates come from MinHash (Broder 1997) in bands; every candidate is then compared
in full, so what is named a duplicate is one. Of each group the first document stays. Long equal passages in
different documents are another question: see `potstill.index`.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from potstill.corpus.shingles import SHINGLE_TOKENS, Hashes, jaccard, shingles
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import Ids
from potstill.errors import ConfigError
from potstill.progress import Progress, Silent

NUM_PERMUTATIONS = 128
_SEED = 1
_BATCH_SHINGLES = 1 << 18
# The share of pairs right at the threshold that the bands may miss.
_MAX_MISSED = 1e-3


@dataclass(frozen=True)
class DuplicateSettings:
    """What counts as a duplicate.

    similarity  least Jaccard similarity of nearly equal documents, in (0, 1]; None looks for equal ones alone
    """

    similarity: float | None = 0.8

    def __post_init__(self) -> None:
        if self.similarity is not None and not 0 < self.similarity <= 1:
            raise ConfigError(f"similarity is {self.similarity}; it must be above 0 and at most 1.")


class Duplicate(NamedTuple):
    """`document` says again what `kept` says, which comes before it; similarity is 1 for equal ones."""

    document: int
    kept: int
    reason: Literal["equal", "near"]
    similarity: float


def find_duplicates(
    store: Store, settings: DuplicateSettings | None = None, progress: Progress | None = None
) -> list[Duplicate]:
    """Every document that can go, in order. Empty documents are equal to each other."""
    settings, progress = settings or DuplicateSettings(), progress or Silent()
    equal = _equal(store, progress)
    if settings.similarity is None:
        return equal
    gone = {duplicate.document for duplicate in equal}
    near = _near(store, gone, settings.similarity, progress)
    return sorted([*equal, *near])


def rows_a_band(similarity: float) -> int:
    """As many rows of the digest a band as find a pair at the threshold in 999 of 1,000 cases."""
    return max(
        (rows for rows in range(1, NUM_PERMUTATIONS + 1) if _missed(similarity, rows) <= _MAX_MISSED),
        default=1,
    )


def _missed(similarity: float, rows: int) -> float:
    return math.pow(1 - math.pow(similarity, rows), NUM_PERMUTATIONS // rows)


def _equal(store: Store, progress: Progress) -> list[Duplicate]:
    first: dict[bytes, int] = {}
    found = []
    with progress.task("equal", store.num_documents, "documents") as task:
        for document, ids in enumerate(store.each_document()):
            kept = first.setdefault(hashlib.sha256(ids.tobytes()).digest(), document)
            if kept != document:
                found.append(Duplicate(document, kept, "equal", 1.0))
            task.advance()
    return found


def _near(store: Store, gone: set[int], similarity: float, progress: Progress) -> Iterator[Duplicate]:
    documents, bands = _band_hashes(store, gone, rows_a_band(similarity), progress)
    width = SHINGLE_TOKENS[store.facts.vocabulary.kind]
    hashes_of = lru_cache(maxsize=64)(lambda document: shingles(store.tokens(document), width))
    buckets: dict[tuple[int, int], list[int]] = {}
    is_shared = _shared(bands)
    with progress.task("near", len(documents), "documents") as task:
        for row, document in enumerate(documents):
            task.advance()
            if not is_shared[row].any():
                continue
            keys = [(band, int(bands[row, band])) for band in np.flatnonzero(is_shared[row]).tolist()]
            candidates = sorted({kept for key in keys for kept in buckets.get(key, ())})
            found = _first_alike(document, candidates, similarity, hashes_of)
            if found:
                yield found
                continue
            for key in keys:
                buckets.setdefault(key, []).append(document)


def _first_alike(
    document: int, candidates: list[int], similarity: float, hashes_of: Callable[[int], Hashes]
) -> Duplicate | None:
    own = hashes_of(document) if candidates else np.zeros(0, np.uint64)
    for kept in candidates:
        other = hashes_of(kept)
        # Sets whose sizes are too far apart cannot be so alike.
        if min(len(own), len(other)) >= similarity * max(len(own), len(other)):
            alike = jaccard(own, other)
            if alike >= similarity:
                return Duplicate(document, kept, "near", alike)
    return None


def _shared(bands: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which band hashes occur in another document too."""
    shared = np.zeros(bands.shape, bool)
    for band in range(bands.shape[1]):
        _, inverse, counts = np.unique(bands[:, band], return_inverse=True, return_counts=True)
        shared[:, band] = counts[inverse] > 1
    return shared


def _band_hashes(
    store: Store, gone: set[int], rows: int, progress: Progress
) -> tuple[list[int], npt.NDArray[np.uint64]]:
    """The documents that have tokens and are not gone, and hashes [documents, bands] of their bands."""
    width = SHINGLE_TOKENS[store.facts.vocabulary.kind]
    documents: list[int] = []
    parts = [np.zeros((0, NUM_PERMUTATIONS // rows), np.uint64)]
    held: list[Hashes] = []
    num_held = 0
    with progress.task("minhash", store.num_documents, "documents") as task:
        for document, ids in enumerate(store.each_document()):
            task.advance()
            if document in gone or not len(ids):
                continue
            documents.append(document)
            held.append(shingles(ids, width))
            num_held += len(held[-1])
            if num_held >= _BATCH_SHINGLES:
                parts.append(_bands(held, rows))
                held, num_held = [], 0
    if held:
        parts.append(_bands(held, rows))
    return documents, np.concatenate(parts)


def _bands(sets: list[Hashes], rows: int) -> npt.NDArray[np.uint64]:
    from rensa import RMinHash

    starts = np.concatenate(([0], np.cumsum([len(each) for each in sets]))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(sets), starts, NUM_PERMUTATIONS, _SEED
    )
    digests = np.array(matrix.to_rows(), np.uint32)
    num_bands = NUM_PERMUTATIONS // rows
    cut: Ids = digests[:, : num_bands * rows].reshape(len(sets), num_bands, rows)
    hashes = np.zeros((len(sets), num_bands), np.uint64)
    for row in range(rows):
        hashes = (hashes ^ cut[:, :, row].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes
