"""The answers of several indexes as that of one index of all their documents. No index is asked here.

Counts add. A suffix occurs in the whole where it occurs in any part, so its longest is the longest of any;
and a part where only a shorter one occurs holds none of the longest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.index.results import Bools, ContinuationsBatch, Int32s, Int64s, Scores


class MergedScores(NamedTuple):
    """`doubtful` [T]: several parts have one continuation each, and which it is was not told."""

    scores: Scores
    doubtful: Bools


def merged_scores(parts: Sequence[Scores]) -> MergedScores:
    """The ∞-gram over all parts; where it is doubtful whether it is sparse, it says that it is not."""
    lengths = np.stack([part.suffix_len for part in parts])  # [P, T]
    contexts = np.stack([part.context_count for part in parts])
    counts = np.stack([part.count for part in parts])
    is_sparse = np.stack([part.is_sparse for part in parts])

    longest = lengths.max(axis=0)
    holds = (lengths == longest) & (contexts > 0)
    context_count = np.where(holds, contexts, 0).sum(axis=0)
    count = np.where(holds, counts, 0).sum(axis=0)
    num_holding = holds.sum(axis=0)
    all_sparse = (is_sparse | ~holds).all(axis=0) & (num_holding > 0)
    # The token itself is the one continuation of each, or of none of them, or else there are two.
    sure = all_sparse & ((num_holding == 1) | (count == context_count))
    doubtful = all_sparse & ~sure & (count == 0)
    return MergedScores(Scores(longest, context_count, count, sure), doubtful)


def merged_continuations(parts: Sequence[ContinuationsBatch]) -> ContinuationsBatch:
    """Row by row: the counts of a continuation add."""
    vocab_size, num_rows = parts[0].vocab_size, len(parts[0])
    rows = [np.repeat(np.arange(num_rows), np.diff(part.row_starts)) for part in parts]
    keys = np.concatenate(rows) * (vocab_size + 1) + np.concatenate([part.found for part in parts])
    merged, place = np.unique(keys, return_inverse=True)
    counts = np.zeros(len(merged), np.int64)
    np.add.at(counts, place, np.concatenate([part.counts for part in parts]))
    row_starts = np.searchsorted(merged, np.arange(num_rows + 1) * (vocab_size + 1))
    return ContinuationsBatch(merged % (vocab_size + 1), counts, row_starts.astype(np.int64), vocab_size)


def merged_matches(parts: Sequence[Int32s]) -> Int32s:
    """[T] the longest match at each place, in whichever part."""
    longest: Int32s = np.stack(parts).max(axis=0)
    return longest


def maximal_spans(matches: Int32s, min_length: int) -> tuple[Int32s, Int32s]:
    """Starts and lengths of the matches, longest at each place [T], that lie in no other match."""
    starts = np.arange(len(matches), dtype=np.int32)
    stops = starts + matches
    reached = np.concatenate(([0], np.maximum.accumulate(stops)[:-1])) if len(stops) else stops
    kept = (stops > reached) & (matches >= max(min_length, 1))
    return starts[kept], matches[kept].astype(np.int32)


def ragged_pieces(
    ids: NDArray[np.uint32], starts: Int64s, stops: Int64s
) -> tuple[NDArray[np.uint32], Int64s]:
    """The pieces ids[starts[b]:stops[b]] one after another, and where each begins [B + 1]."""
    lengths = stops - starts
    borders = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    within = np.arange(int(borders[-1])) - np.repeat(borders[:-1], lengths)
    return ids[np.repeat(starts, lengths) + within], borders
