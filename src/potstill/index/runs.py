"""How far texts run on as they stand in the corpus, from each of their tokens; of many texts and long ones.

A text that stands in the corpus as a whole has a run to its end from every token: comparing them one by one
would take the square of its length. So runs of long texts are first measured up to a bound, and what reaches
the bound is extended once for each piece that lies in no longer one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from potstill.index.words import Borders, Int64s

if TYPE_CHECKING:
    from potstill.index.reader import Index

Ids = NDArray[np.uint32]

LONG_TOKENS = 4096
BOUND_TOKENS = 1024


def longest_runs(index: "Index", texts: Sequence[Ids], *, threads: int = 1) -> list[Int64s]:
    """For each token of each text, how many tokens from it on occur together, within its text; exact."""
    short = [ids if len(ids) <= LONG_TOKENS else ids[:0] for ids in texts]
    runs = _joined_runs(index, short, threads)
    return [
        run if len(ids) <= LONG_TOKENS else _long_runs(index, ids, threads)
        for ids, run in zip(texts, runs, strict=True)
    ]


def maximal(runs: Int64s, min_tokens: int = 1) -> Borders:
    """The runs of at least `min_tokens` tokens that lie in no longer one, from left to right."""
    starts = np.arange(len(runs))
    stops = starts + runs
    reached = np.maximum.accumulate(np.concatenate([[0], stops]))[:-1]
    found = (runs >= min_tokens) & (stops > reached)
    return Borders(starts[found], stops[found])


def _joined_runs(index: "Index", texts: Sequence[Ids], threads: int) -> list[Int64s]:
    sizes = [len(ids) for ids in texts]
    if not sum(sizes):
        return [np.zeros(0, np.int64) for _ in sizes]
    lengths = np.asarray(index.longest_matches(np.concatenate(texts), threads=threads), dtype=np.int64)
    stops = np.cumsum(sizes)
    # A match that runs on into the next text is cut at its own text's end; what begins a match occurs too.
    room = np.repeat(stops, sizes) - np.arange(len(lengths))
    return np.split(np.minimum(lengths, room), stops[:-1])


def _long_runs(index: "Index", ids: Ids, threads: int) -> Int64s:
    bounded = np.minimum(_in_pieces(index, ids, threads), BOUND_TOKENS)
    stops = np.arange(len(ids)) + bounded
    reaching = np.flatnonzero(bounded == BOUND_TOKENS)
    at = int(reaching[0]) if len(reaching) else len(ids)
    while at < len(ids):
        stop = _reach(index, ids, at, at + BOUND_TOKENS)
        stops[at:stop] = np.maximum(stops[at:stop], stop)
        if stop == len(ids):
            break
        # No token before this one has a run that goes further.
        first = _first_reaching(index, ids, at + 1, stop + 1)
        after = int(np.searchsorted(reaching, first))
        at = int(reaching[after]) if after < len(reaching) else len(ids)
    runs: Int64s = stops - np.arange(len(ids))
    return runs


def _in_pieces(index: "Index", ids: Ids, threads: int) -> Int64s:
    """Runs that are exact up to the bound: each piece is measured with so many more tokens behind it."""
    step = LONG_TOKENS - BOUND_TOKENS
    return np.concatenate(
        [
            np.asarray(index.longest_matches(ids[first : first + LONG_TOKENS], threads=threads), np.int64)[
                :step
            ]
            for first in range(0, len(ids), step)
        ]
    )


def _reach(index: "Index", ids: Ids, start: int, known: int) -> int:
    """The end of the run from `start` on, which goes up to `known` at least."""
    step = known - start
    while known + step <= len(ids) and _occurs(index, ids[start : known + step]):
        known, step = known + step, 2 * step
    beyond = min(known + step, len(ids) + 1)
    while beyond - known > 1:
        middle = (known + beyond) // 2
        known, beyond = (middle, beyond) if _occurs(index, ids[start:middle]) else (known, middle)
    return known


def _first_reaching(index: "Index", ids: Ids, low: int, stop: int) -> int:
    """The first token from `low` on whose run goes up to `stop`; `stop` if none does."""
    high = stop
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _occurs(index, ids[middle:stop]) else (middle + 1, high)
    return low


def _occurs(index: "Index", ids: Ids) -> bool:
    return bool(index.count_batch(ids, np.array([0, len(ids)]))[0] > 0)
