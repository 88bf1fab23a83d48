"""A long native call: in a thread of its own, with progress, ended early by Ctrl-C or SIGTERM."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from potstill import _native
from potstill.index.native_errors import damage_told
from potstill.progress import Progress, Task

_Result = TypeVar("_Result")
_POLL_S = 0.05


def run_native(
    call: Callable[[_native.Work], _Result],
    progress: Progress,
    name: str,
    total: int,
    unit: str = "tokens",
    *,
    units: int = 1,
) -> _Result:
    """What `call` returns; its `Work` counts to about `units` for each of `total`.

    Python handles signals between the looks at `Work.done`. An exception, such as KeyboardInterrupt, cancels
    the call and is raised once the call has ended, so that nothing writes any more.
    """
    running = _Running(call, name)
    try:
        running.start()
        with progress.task(name, total, unit) as task:
            _follow(running.is_over, lambda: min(running.work.done // units, total), task)
    except BaseException:
        running.cancel()
        raise
    with damage_told():
        return running.result()


class _Running(threading.Thread, Generic[_Result]):
    """The call in its thread; `is_over` once nothing of it writes any more."""

    def __init__(self, call: Callable[[_native.Work], _Result], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.work, self.is_over = _native.Work(), threading.Event()
        self._call, self._is_wanted = call, True
        self._results: list[_Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            if self._is_wanted:
                self._results.append(self._call(self.work))
        except BaseException as error:  # handed to the thread that waits
            self._error = error
        finally:
            self.is_over.set()

    def cancel(self) -> None:
        """Returns once the call is over, or will never begin."""
        self._is_wanted = False
        self.work.cancel()
        # A process that ends inside the native core is aborted, so a second Ctrl-C does not end the wait.
        while self.ident is not None and not self.is_over.is_set():
            with suppress(BaseException):
                self.is_over.wait(_POLL_S)

    def result(self) -> _Result:
        if self._error:
            raise self._error
        return self._results[0]


def _follow(is_over: threading.Event, done: Callable[[], int], task: Task) -> None:
    told, is_last = 0, False
    while not is_last:
        is_last = is_over.wait(_POLL_S)
        reached = done()
        if reached > told:
            task.advance(reached - told)
            told = reached
