"""What an executor is: it runs a pure function over items, and where it ran never shows in the results.

A function is *pure* here when its result follows from its item alone. So an item whose worker died is done
again, and every executor gives the same list. Functions are named at the top of a module, because a worker
imports them; items and results are small values: paths and numbers, not arrays of a corpus.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

from potstill.errors import UsageError
from potstill.executors.outcome import Outcome
from potstill.progress import Progress, Silent

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cancelled(Exception):
    """The work was called off by `Executor.cancel`."""


class Residents(Protocol):
    """Objects that live where the work runs, one for each item they were made from."""

    def ask(self, method: str, *arguments: Any, which: Sequence[int] | None = None) -> list[Outcome]:
        """What `method` of the objects `which` (None: all) answers; a failure stays with its object."""
        ...

    def close(self) -> None: ...


class Executor(Protocol):
    @property
    def num_workers(self) -> int:
        """How many items are worked on at once."""
        ...

    @property
    def workers_a_machine(self) -> int:
        """How many of them share a machine's memory."""
        ...

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_done: Callable[[int], None] = lambda index: None,
    ) -> list[Result]:
        """The results in the order of the items; `on_done` hears each item's number as it is finished.

        A PotstillError of the function is raised here as it was there, and ends the rest. An item whose
        worker died is tried once more; a second death is a MissingError. Cancelled after `cancel`.
        """
        ...

    def settle(self, factory: Callable[[Item], Any], items: Sequence[Item]) -> Residents:
        """One object an item, made by `factory` where it will live; it is asked until `close`."""
        ...

    def cancel(self) -> None:
        """Call off what `map` is doing, from any thread; its workers end and no more is done, ever."""
        ...

    def close(self) -> None:
        """End the workers, and the cluster where this executor started it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_executor(kind: str, num_workers: int | None = None) -> Executor:
    """`local`, `ray`, or the address of a Ray cluster (`ray://HOST:PORT`, `HOST:PORT`).

    `ray` alone is the cluster that RAY_ADDRESS names, or one of this machine, started and ended here.
    `num_workers` is for this machine only (None: one a core); a cluster has as many as it has cores.
    """
    if num_workers is not None and num_workers < 1:
        raise UsageError(f"{num_workers} workers cannot work; ask for 1 or more.")
    if kind == "local":
        from potstill.executors.local import open_local

        return open_local(num_workers)
    if kind == "ray" or ":" in kind:
        from potstill.executors.ray_cluster import open_ray

        return open_ray(None if kind == "ray" else kind, num_workers)
    raise UsageError(f"There is no executor {kind!r}. Say local, ray, or ray://HOST:PORT.")


def run_all(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    name: str,
    unit: str = "items",
    weights: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """`executor.map` with a task of `progress`; `weights` (in `unit`) say how much of it each item is."""
    sizes = [1.0] * len(items) if weights is None else list(weights)
    with (progress or Silent()).task(name, sum(sizes), unit) as task:
        return executor.map(function, items, on_done=lambda index: task.advance(sizes[index]))
