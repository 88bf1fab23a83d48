"""Systems measured in turns: in every round each cell is asked of each of its systems, one after the other.

So whatever else the machine does meets them all, and a run that is out of time has whole rounds behind it.
What fails is noted and left out of later rounds; the others go on.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from decode_child import Answer, Child, ChildError
from decode_workload import Request, num_written

# Longer than any measurement that makes sense; a child that takes longer hangs.
TIMEOUT_S = 400.0
# Idle thread pools spin for a while after their last work.
_SETTLE_S = 0.3


@dataclass
class Cell:
    """One question: these requests in so many streams, asked of `systems` in at most so many rounds each."""

    name: str
    requests: Sequence[Request]
    num_streams: int
    systems: Mapping[str, int]
    question: str = "run"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        return num_written(self.requests)


@dataclass
class Measured:
    """What a system answered in a cell, one entry a round."""

    tokens_per_second: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


class Rounds:
    """`found[cell][system]`; `failures` are lines for people; `deadline` is a time of `time.monotonic`."""

    def __init__(self, children: Mapping[str, Child], deadline: float) -> None:
        self.children, self.deadline = dict(children), deadline
        self.found: dict[str, dict[str, Measured]] = {}
        self.failures: list[str] = []
        self.num_left_out = 0
        self._seconds: dict[tuple[str, str], float] = {}
        self._failed: set[tuple[str, str]] = set()

    def measure(self, cells: Sequence[Cell], num_rounds: int) -> None:
        for index in range(num_rounds):
            for cell in cells:
                names = [name for name, rounds in cell.systems.items() if index < rounds]
                # Nobody is always first: the one before may leave the machine warm.
                for name in names[index % len(names) :] + names[: index % len(names)] if names else []:
                    self.measure_one(cell, name)

    def measure_one(self, cell: Cell, name: str) -> None:
        child = self.children.get(name)
        if child is None or (cell.name, name) in self._failed:
            return
        expected = self._seconds.get((cell.name, name), 0.0)
        if time.monotonic() + expected > self.deadline:
            self.num_left_out += 1
            return
        time.sleep(_SETTLE_S)
        started = time.monotonic()
        try:
            answer = ask(child, cell, cell.settings.get(name))
        except ChildError as error:
            self._fail(name, cell, str(error), child)
            return
        self._seconds[cell.name, name] = time.monotonic() - started
        measured = self.found.setdefault(cell.name, {}).setdefault(name, Measured())
        measured.tokens_per_second.append(cell.num_tokens / answer["seconds"])
        measured.answers.append(answer)
        print(f"{cell.name:34} {name:22} {measured.tokens_per_second[-1]:9.1f} tokens/s", file=sys.stderr)

    def warm(self, cells: Sequence[Cell], requests: Sequence[Request]) -> None:
        """Every system runs a little of every cell before anything is measured."""
        for cell in cells:
            short = Cell(cell.name, requests[: cell.num_streams], cell.num_streams, cell.systems)
            short.arguments = cell.arguments if cell.question == "run" else {}
            for name in cell.systems:
                if (child := self.children.get(name)) is not None:
                    try:
                        ask(child, short, cell.settings.get(name))
                    except ChildError as error:
                        self._fail(name, cell, str(error), child)

    def _fail(self, name: str, cell: Cell, why: str, child: Child) -> None:
        self._failed.add((cell.name, name))
        self.failures.append(f"{cell.name}: {why}")
        print(f"FAILED {self.failures[-1]}", file=sys.stderr)
        if not child.is_running:
            del self.children[name]


def ask(child: Child, cell: Cell, settings: Mapping[str, Any] | None = None) -> Answer:
    """The answer, once it is sure that every text has the length that was asked for."""
    answer = child.ask(
        cell.question,
        TIMEOUT_S,
        requests=cell.requests,
        num_streams=cell.num_streams,
        settings=settings,
        **cell.arguments,
    )
    lengths = [len(output) for output in answer["outputs"]]
    wanted = [request.num_tokens for request in cell.requests]
    if lengths != wanted:
        at = next((i for i, pair in enumerate(zip(lengths, wanted, strict=False)) if len(set(pair)) > 1), 0)
        raise ChildError(
            f"{child.name} wrote {lengths[at : at + 1]} tokens for request {at}, not {wanted[at]}"
        )
    return answer


def fastest(
    child: Child, cell: Cell, variants: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """The settings under which a cell takes least time, and what every variant took."""
    tried = []
    for settings in variants:
        try:
            seconds = ask(child, cell, settings)["seconds"]
            tried.append({"settings": dict(settings), "tokens_per_second": cell.num_tokens / seconds})
            told = (
                f"{cell.name:34} {child.name:22} {cell.num_tokens / seconds:9.1f} tokens/s {dict(settings)}"
            )
            print(told, file=sys.stderr)
        except ChildError as error:
            tried.append({"settings": dict(settings), "failed": str(error)})
            if not child.is_running:
                break
    best = max(tried, key=lambda one: one.get("tokens_per_second", 0.0))
    return best["settings"], tried
