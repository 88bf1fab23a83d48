"""An index in shards whose shards lie with an executor: on Ray actors, one a shard, or in this process.

A machine that sees all shards asks them quicker by `Index.open`, which maps them together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from potstill.corpus.store import Provenance
from potstill.corpus.vocabulary import load_vocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.executors.executor import Executor, open_executor
from potstill.index.commit import vocabulary_name
from potstill.index.far_reader import FarReader
from potstill.index.far_shards import FarShards, ShardPlace
from potstill.index.manifest import VOCABULARIES, SegmentEntry
from potstill.index.open import OpenIndex, OpenSegment
from potstill.index.query import Query
from potstill.index.reader import Index
from potstill.index.results import InfgramContinuations, Probability, SearchCount
from potstill.index.shards import as_manifest, is_sharded, read_shards


class ShardedIndex(Index):
    """Everything that `Index` answers, by asking the shards where they are.

    Documents keep their numbers where a shard before them is left out.
    """

    def __init__(self, opened: OpenIndex, shards: FarShards, close: Callable[[], None]) -> None:
        reader: Any = FarReader(shards, opened.manifest.vocabulary.vocab_size)
        self._shards, self._close = shards, close
        super().__init__(opened, reader)
        live = [opened.segments[number].entry for number in shards.live]
        self.num_tokens = sum(entry.num_tokens for entry in live)
        self.num_documents = sum(entry.num_documents for entry in live)

    @classmethod
    def open(cls, path: Path | str, *, degraded: bool = False, executor: Executor | str = "ray") -> Self:
        """The index in shards at `path`, a folder that all workers of the executor see under this path.

        `executor` is one that is open, and stays so, or what `open_executor` takes. With `degraded` shards
        that cannot answer are left out, and `left_out` names them. Raises as `Index.open`.
        """
        index = Path(path).absolute()
        if not is_sharded(index):
            raise UsageError(f"{path} is not in shards. Build it with --shards, or open it as `Index`.")
        if not isinstance(executor, str):
            return cls(*_open_on(executor, index, degraded=degraded), close=lambda: None)
        ours = open_executor(executor)
        try:
            return cls(*_open_on(ours, index, degraded=degraded), close=ours.close)
        except BaseException:
            ours.close()
            raise

    @property
    def left_out(self) -> tuple[str, ...]:
        """Shards that do not answer; with `degraded` any question may find one more."""
        return self._shards.left_out

    def prob(self, context: Query, continuation: Query | int) -> Probability:
        return self._shards.of_the_same(lambda: super(ShardedIndex, self).prob(context, continuation))

    def infgram_next(self, context: Query, *, budget: int = 0) -> InfgramContinuations:
        return self._shards.of_the_same(
            lambda: super(ShardedIndex, self).infgram_next(context, budget=budget)
        )

    def search(
        self,
        clauses: str | Sequence[Sequence[Query]],
        *,
        window_tokens: int = 100,
        limit: int | None = 10,
        budget: int | None = None,
    ) -> SearchCount:
        return self._shards.of_the_same(
            lambda: super(ShardedIndex, self).search(
                clauses, window_tokens=window_tokens, limit=limit, budget=budget
            )
        )

    def close(self) -> None:
        super().close()
        self._shards.close()
        self._close()


@dataclass(frozen=True)
class FarStore:
    """Tells where the tokens of one shard came from."""

    shards: FarShards
    number: int

    def locate(self, document: int, first_token: int, num_tokens: int) -> Provenance:
        place: Provenance = self.shards.locate(self.number, document, first_token, num_tokens)
        return place


@dataclass(frozen=True)
class _NothingDeleted:
    """Of a shard's header what is asked here: shards do not change, so none of their documents is deleted."""

    deletes: tuple[()] = ()


def _open_on(executor: Executor, index: Path, *, degraded: bool) -> tuple[OpenIndex, FarShards]:
    while True:
        shards = read_shards(index)
        try:
            vocabulary = load_vocabulary(
                index / VOCABULARIES / vocabulary_name(shards.vocabulary.fingerprint)
            )
            places = [ShardPlace(index, shards, entry) for entry in shards.shards]
            far = FarShards(places, executor, degraded=degraded)
        except (DamagedError, MissingError):
            if read_shards(index).generation == shards.generation:
                raise
            continue
        if not far.left_out or read_shards(index).generation == shards.generation:
            break
        # A builder removed the shards of the generation that this began with.
        far.close()
    manifest = as_manifest(shards)
    segments = tuple(_far_segment(far, *each) for each in enumerate(manifest.segments))
    return OpenIndex(index, manifest, vocabulary, segments), far


def _far_segment(far: FarShards, number: int, stands_for: SegmentEntry) -> OpenSegment:
    # Of a segment that lies elsewhere, `Index` asks these three alone.
    folder: Any = None
    header: Any = _NothingDeleted()
    store: Any = FarStore(far, number)
    native: Any = None
    return OpenSegment(stands_for, folder, header, store, native)
