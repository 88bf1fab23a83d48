"""One shard where it lives, in this process or on a Ray actor: it answers by name, with plain values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill import _native
from potstill.index.native_errors import damage_told, query_told
from potstill.index.shards import ShardEntry, Shards, open_shard


@dataclass(frozen=True)
class ShardPlace:
    """Which shard of which index is to be opened."""

    index: Path
    shards: Shards
    entry: ShardEntry


class ShardReader:
    """The native reader of one shard, and its store. A shard has one segment."""

    def __init__(self, place: ShardPlace) -> None:
        (segment,) = open_shard(place.index, place.shards, place.entry).segments
        self._reader: _native.Reader | None = _native.Reader([segment.native], [1])
        self._store = segment.store

    def answer(self, question: str, arguments: tuple[Any, ...]) -> Any:
        """What the native reader's `question` gives. UsageError and DamagedError in a user's words."""
        with query_told:
            return getattr(self._reader, question)(*arguments)

    def locate(self, *arguments: int) -> Any:
        with damage_told():
            return self._store.locate(*arguments)

    def close(self) -> None:
        self._reader = None
