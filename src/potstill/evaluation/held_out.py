"""Held-out text that an index has not seen: what shares a long run of tokens with it is left out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from potstill.index.shared_runs import share_ngrams

if TYPE_CHECKING:
    from potstill.index.reader import Index

SHARED_TOKENS = 50


def unseen(
    index: "Index",
    documents: Sequence[Sequence[int]],
    *,
    shared_tokens: int = SHARED_TOKENS,
    threads: int = 1,
) -> list[bool]:
    """Whether each document shares no run of `shared_tokens` tokens with the index, or not all its tokens.

    A run lies within one document on both sides. Ids are those of the index's vocabulary. A document without
    tokens is unseen.
    """
    shared = share_ngrams(index, documents, shared_tokens, threads=threads)
    stands_whole = (0 < len(ids) < shared_tokens and index.count(list(ids)) > 0 for ids in documents)
    return [not (shares or stands) for shares, stands in zip(shared, stands_whole, strict=True)]


def first_tokens(documents: Sequence[Sequence[int]], num_tokens: int) -> list[Sequence[int]]:
    """Documents in order until they hold `num_tokens` tokens; the last one is cut there."""
    taken: list[Sequence[int]] = []
    missing = num_tokens
    for ids in documents:
        if missing <= 0:
            break
        taken.append(ids[:missing])
        missing -= len(taken[-1])
    return taken
