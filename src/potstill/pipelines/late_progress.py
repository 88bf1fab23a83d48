"""Progress of work that is mostly done before a bar would be read: shown once it takes longer."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from potstill.progress import Progress, Task

_LATE_S = 2.0
_WORTH_S = 1.0


class _LateTask:
    def __init__(self, progress: Progress, name: str, total: float, unit: str, stack: ExitStack) -> None:
        self._progress, self._name, self._total, self._unit = progress, name, total, unit
        self._stack, self._started = stack, time.monotonic()
        self._done: float = 0
        self._shown: Task | None = None

    def advance(self, count: float = 1) -> None:
        self._done += count
        if self._shown is not None:
            self._shown.advance(count)
        elif self._is_worth_showing():
            task = self._progress.task(self._name, self._total, self._unit, done=self._done)
            self._shown = self._stack.enter_context(task)

    def _is_worth_showing(self) -> bool:
        """Not for a last moment, of which nobody would read anything, nor for one thing of unknown length."""
        if self._total <= 1:
            return False
        taken = time.monotonic() - self._started
        return taken > _LATE_S and taken / self._done * (self._total - self._done) > _WORTH_S

    def note(self, text: str) -> None:
        if self._shown is not None:
            self._shown.note(text)


@contextmanager
def late_task(progress: Progress, name: str, total: float, unit: str) -> Iterator[Task]:
    """A task that is shown from the third second on, and not at all where it is done by then."""
    with ExitStack() as stack:
        yield _LateTask(progress, name, total, unit, stack)
