"""Whether a document shares a long run of tokens with an index: what held-out text is cleaned with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigError

if TYPE_CHECKING:
    from potstill.index.reader import Index

Ids = Sequence[int] | NDArray[np.integer]


def shares_ngram(index: "Index", ids: Ids, num_tokens: int = 50) -> bool:
    """Whether any `num_tokens` (>= 1) tokens of `ids` in a row stand in one document of the index."""
    return bool(share_ngrams(index, [ids], num_tokens)[0])


def share_ngrams(
    index: "Index", documents: Sequence[Ids], num_tokens: int = 50, *, threads: int = 1
) -> NDArray[np.bool_]:
    """[B] the same for many documents at once.

    A run of n tokens holds a whole one of the blocks of half as many that a document is cut into, so most
    documents are settled by counting those; only around blocks that occur is every place looked at.
    """
    if num_tokens < 1:
        raise ConfigError(f"num_tokens is {num_tokens}; it must be at least 1.")
    rows = [np.ascontiguousarray(ids, dtype=np.uint32) for ids in documents]
    block = (num_tokens + 1) // 2
    owners, firsts = _blocks([len(row) for row in rows], block, num_tokens)
    shared = np.zeros(len(rows), bool)
    if not len(owners):
        return shared
    pieces = [rows[owner][first : first + block] for owner, first in zip(owners, firsts, strict=True)]
    starts = np.arange(len(pieces) + 1, dtype=np.int64) * block
    counts = np.asarray(index.count_batch(np.concatenate(pieces), starts, threads=threads))
    for at in np.flatnonzero(counts > 0):
        owner, first = int(owners[at]), int(firsts[at])
        if not shared[owner]:
            shared[owner] = _holds_run(index, rows[owner], first, block, num_tokens)
    return shared


def _blocks(sizes: Sequence[int], block: int, num_tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Document and first token of each whole block of the documents that are long enough."""
    firsts = [np.arange(size // block if size >= num_tokens else 0) * block for size in sizes]
    owners = np.repeat(np.arange(len(sizes)), [len(each) for each in firsts])
    return owners, np.concatenate([np.zeros(0, np.int64), *firsts])


def _holds_run(index: "Index", ids: NDArray[np.uint32], first: int, block: int, num_tokens: int) -> bool:
    """Whether a run that occurs holds the block: it begins up to a block's length before it."""
    begin = max(first + block - num_tokens, 0)
    around = ids[begin : first + num_tokens]
    return bool(np.any(np.asarray(index.longest_matches(around)) >= num_tokens))
