"""The shards of an index where an executor keeps them, asked together; one that cannot answer is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from potstill import _native
from potstill.errors import DamagedError, MissingError
from potstill.executors.executor import Executor
from potstill.executors.outcome import Outcome
from potstill.index.native_errors import damage_told, query_told
from potstill.index.shards import FOLDER, ShardEntry, Shards, open_shard

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ShardPlace:
    """Which shard of which index is to be opened."""

    index: Path
    shards: Shards
    entry: ShardEntry


class ShardReader:
    """One shard where it lives, in this process or on a Ray actor: it answers by name, with plain values.

    The native reader of the shard, which has one segment, and its store.
    """

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


class FarShards:
    """degraded  leave out, from then on, a shard that is missing, damaged, or lost with its machine

    live  numbers of the shards that answer, in the order of the documents
    """

    def __init__(self, places: Sequence[ShardPlace], executor: Executor, *, degraded: bool) -> None:
        self._names = [place.entry.name for place in places]
        self._degraded = degraded
        self._residents = executor.settle(ShardReader, places)
        self.live = tuple(range(len(places)))
        try:
            # A shard that could not be opened says so at the first question.
            self.ask("count", [])
        except BaseException:
            self.close()
            raise

    @property
    def left_out(self) -> tuple[str, ...]:
        return tuple(f"{FOLDER}/{name}" for number, name in enumerate(self._names) if number not in self.live)

    def ask(self, question: str, *arguments: Any) -> list[Any]:
        """The answers of the shards in `live`, in order. Raises where none answers."""
        asked = self.live
        answers: list[Any] = []
        problems = dict[int, DamagedError | MissingError]()
        outcomes = self._residents.ask("answer", question, arguments, which=asked)
        for number, outcome in zip(asked, outcomes, strict=True):
            try:
                answers.append(self._value(number, outcome))
            except (DamagedError, MissingError) as error:
                problems[number] = error
        if problems and not (self._degraded and answers):
            raise next(iter(problems.values()))
        self.live = tuple(number for number in self.live if number not in problems)
        return answers

    def of_the_same(self, question: Callable[[], _Answer]) -> _Answer:
        """The answer to a question of several rounds; asked again where a shard was left out on the way."""
        while True:
            live = self.live
            answer = question()
            if self.live == live:
                return answer

    def ask_one(self, number: int, question: str, *arguments: Any) -> Any:
        return self._one(number, "answer", question, arguments)

    def locate(self, number: int, *arguments: int) -> Any:
        return self._one(number, "locate", *arguments)

    def close(self) -> None:
        self._residents.close()

    def _one(self, number: int, method: str, *arguments: Any) -> Any:
        (outcome,) = self._residents.ask(method, *arguments, which=[number])
        return self._value(number, outcome)

    def _value(self, number: int, outcome: Outcome) -> Any:
        try:
            return outcome.value()
        except (DamagedError, MissingError) as error:
            told = f"Shard {self._names[number]}: "
            raise type(error)(told + str(error).removeprefix(told)) from None
