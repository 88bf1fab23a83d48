"""The native reader's questions, put to shards that may lie anywhere, and their answers merged exactly.

Its segments are the shards. What is asked of all takes one round, the ∞-gram and spans sometimes two. Counts
add. A suffix occurs in the whole where it occurs in any shard, so its longest is the longest of any; a shard
where only a shorter one occurs holds none of the longest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.index.far_shards import FarShards
from potstill.index.results import Bools, ContinuationsBatch, Int32s, Int64s, Scores

Ids = NDArray[np.uint32]
ScoreArrays = tuple[Int32s, Int64s, Int64s, Bools]


class FarReader:
    def __init__(self, shards: FarShards, vocab_size: int) -> None:
        self._shards, self.vocab_size = shards, vocab_size

    def count(self, ids: Any) -> int:
        return sum(self._shards.ask("count", ids))

    def count_batch(self, ids: Ids, starts: Int64s, threads: int = 1) -> Int64s:
        counts: Int64s = np.sum(self._shards.ask("count_batch", ids, starts, threads), axis=0)
        return counts

    def next(self, ids: Any, budget: int = 0) -> tuple[Int64s, Int64s, int]:
        """Each shard gets its part of the budget."""
        share = -(-budget // len(self._shards.live))
        parts = self._shards.ask("next", ids, share)
        merged = merged_continuations([self._batch((*part[:2], [0, len(part[0])])) for part in parts])
        return merged.found, merged.counts, sum(part[2] for part in parts)

    def next_batch(self, ids: Ids, starts: Int64s, threads: int = 1) -> tuple[Int64s, Int64s, Int64s]:
        parts = self._shards.ask("next_batch", ids, starts, threads)
        merged = merged_continuations([self._batch(part) for part in parts])
        return merged.found, merged.counts, merged.row_starts

    def infgram_batch(self, ids: Ids, starts: Int64s, threads: int = 1) -> ScoreArrays:
        return self._shards.of_the_same(
            lambda: self._scores("infgram_batch", (ids, starts, threads), ids, starts[1:] - 1)
        )

    def score(self, ids: Any, max_suffix: int | None = None, threads: int = 1) -> ScoreArrays:
        text = np.asarray(ids, np.uint32)
        tokens = np.arange(len(text), dtype=np.int64)
        return self._shards.of_the_same(
            lambda: self._scores("score", (text, max_suffix, threads), text, tokens)
        )

    def longest_matches(self, ids: Any, threads: int = 1) -> Int32s:
        return merged_matches(self._shards.ask("longest_matches", ids, threads))

    def spans(self, ids: Any, min_length: int = 1, threads: int = 1) -> tuple[Int32s, Int32s, Int64s]:
        text = np.asarray(ids, np.uint32)
        return self._shards.of_the_same(lambda: self._spans(text, min_length, threads))

    def ranges(self, ids: Any) -> list[tuple[int, int, int]]:
        asked = self._shards.ask("ranges", ids)
        return [
            (number, first, stop)
            for number, found in zip(self._shards.live, asked, strict=True)
            for _, first, stop in found
        ]

    def positions(self, segment: int, lo: int, hi: int) -> NDArray[np.uint64]:
        found: NDArray[np.uint64] = self._shards.ask_one(segment, "positions", 0, lo, hi)
        return found

    def documents(
        self, segment: int, positions: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        documents, offsets = self._shards.ask_one(segment, "documents", 0, positions)
        return documents, offsets

    def passage(self, segment: int, rank: int, max_tokens: int) -> Any:
        return self._shards.ask_one(segment, "passage", 0, rank, max_tokens)

    def symbols(self, segment: int, first: int, stop: int) -> Ids:
        found: Ids = self._shards.ask_one(segment, "symbols", 0, first, stop)
        return found

    def document_bounds(self, segment: int, document: int) -> tuple[int, int]:
        first, stop = self._shards.ask_one(segment, "document_bounds", 0, document)
        return first, stop

    def state(self) -> "FarState":
        return FarState(self)

    def _batch(self, part: Any) -> ContinuationsBatch:
        found, counts, row_starts = map(np.asarray, part)
        return ContinuationsBatch(found, counts, row_starts, self.vocab_size)

    def _scores(self, question: str, arguments: tuple[Any, ...], ids: Ids, tokens: Int64s) -> ScoreArrays:
        """The ∞-gram of ids[tokens[t]] for each t, each after the tokens before it."""
        parts = self._shards.ask(question, *arguments)
        scores, doubtful = merged_scores([Scores(*part) for part in parts])
        is_sparse = scores.is_sparse.copy()
        if doubtful.any():
            stops = tokens[doubtful]
            pieces = ragged_pieces(ids, stops - scores.suffix_len[doubtful], stops)
            *_, row_starts = self.next_batch(*pieces)
            is_sparse[doubtful] = np.diff(row_starts) == 1
        return scores.suffix_len, scores.context_count, scores.count, is_sparse

    def _spans(self, text: Ids, min_length: int, threads: int) -> tuple[Int32s, Int32s, Int64s]:
        starts, lengths = maximal_spans(self.longest_matches(text, threads), min_length)
        stops = starts.astype(np.int64) + lengths
        counts = self.count_batch(*ragged_pieces(text, starts.astype(np.int64), stops), threads)
        return starts, lengths, counts


class FarState:
    """As the native core's state: the longest suffix of a stream that occurs. Each token is a round."""

    def __init__(self, reader: FarReader, suffix: tuple[int, ...] = ()) -> None:
        self._reader, self._suffix = reader, suffix

    def extend(self, id: int) -> None:
        longer = (*self._suffix, id)
        # The length does not depend on the token that follows; any will do.
        asked = np.array([*longer, 0], np.uint32)
        lengths, *_ = self._reader.infgram_batch(asked, np.array([0, len(asked)]))
        self._suffix = longer[len(longer) - int(lengths[0]) :]

    def reset(self) -> None:
        self._suffix = ()

    def copy(self) -> "FarState":
        return FarState(self._reader, self._suffix)

    @property
    def suffix_len(self) -> int:
        return len(self._suffix)

    @property
    def count(self) -> int:
        return self._reader.count(list(self._suffix))

    def next(self, budget: int = 0) -> tuple[Int64s, Int64s, int]:
        return self._reader.next(list(self._suffix), budget)


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


def ragged_pieces(ids: Ids, starts: Int64s, stops: Int64s) -> tuple[Ids, Int64s]:
    """The pieces ids[starts[b]:stops[b]] one after another, and where each begins [B + 1]."""
    lengths = stops - starts
    borders = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    within = np.arange(int(borders[-1])) - np.repeat(borders[:-1], lengths)
    return ids[np.repeat(starts, lengths) + within], borders
