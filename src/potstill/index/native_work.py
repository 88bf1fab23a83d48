"""A long native call: in a thread of its own, with progress, ended early by Ctrl-C or SIGTERM."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

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
    work = _native.Work()
    results: list[_Result] = []
    errors: list[BaseException] = []
    is_wanted, is_over = True, threading.Event()

    def run() -> None:
        try:
            if is_wanted:
                results.append(call(work))
        except BaseException as error:  # handed to the thread that waits
            errors.append(error)
        finally:
            is_over.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
        with progress.task(name, total, unit) as task:
            _follow(is_over, lambda: min(work.done // units, total), task)
    except BaseException:
        is_wanted = False
        work.cancel()
        if thread.ident is not None:
            _wait_in_any_case(is_over)
        raise
    with damage_told():
        if errors:
            raise errors[0]
    return results[0]


def _wait_in_any_case(is_over: threading.Event) -> None:
    """A process that ends inside the native core is aborted, so a second Ctrl-C does not end the wait."""
    while not is_over.is_set():
        with suppress(BaseException):
            is_over.wait(_POLL_S)


def _follow(is_over: threading.Event, done: Callable[[], int], task: Task) -> None:
    told, is_last = 0, False
    while not is_last:
        is_last = is_over.wait(_POLL_S)
        reached = done()
        if reached > told:
            task.advance(reached - told)
            told = reached
