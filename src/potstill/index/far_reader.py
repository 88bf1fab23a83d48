"""The native reader's questions, put to shards that may lie anywhere, and their answers merged exactly.

Its segments are the shards. What is asked of all takes one round, the ∞-gram and spans sometimes two.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from potstill.index.far_shards import FarShards
from potstill.index.merged_answers import (
    maximal_spans,
    merged_continuations,
    merged_matches,
    merged_scores,
    ragged_pieces,
)
from potstill.index.results import Bools, ContinuationsBatch, Int32s, Int64s, Scores

Ids = NDArray[np.uint32]
ScoreArrays = tuple[Int32s, Int64s, Int64s, Bools]
_Answer = TypeVar("_Answer")


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
        return self._of_the_same_shards(
            lambda: self._scores("infgram_batch", (ids, starts, threads), ids, starts[1:] - 1)
        )

    def score(self, ids: Any, max_suffix: int | None = None, threads: int = 1) -> ScoreArrays:
        text = np.asarray(ids, np.uint32)
        tokens = np.arange(len(text), dtype=np.int64)
        return self._of_the_same_shards(
            lambda: self._scores("score", (text, max_suffix, threads), text, tokens)
        )

    def longest_matches(self, ids: Any, threads: int = 1) -> Int32s:
        return merged_matches(self._shards.ask("longest_matches", ids, threads))

    def spans(self, ids: Any, min_length: int = 1, threads: int = 1) -> tuple[Int32s, Int32s, Int64s]:
        text = np.asarray(ids, np.uint32)
        return self._of_the_same_shards(lambda: self._spans(text, min_length, threads))

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

    def _of_the_same_shards(self, question: Callable[[], _Answer]) -> _Answer:
        """Asked again where a shard was left out between one round and the next."""
        while True:
            live = self._shards.live
            answer = question()
            if self._shards.live == live:
                return answer


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
