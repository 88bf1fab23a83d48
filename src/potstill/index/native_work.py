"""A long native call: in a thread of its own, with progress, ended early by Ctrl-C or SIGTERM."""

import threading
from collections.abc import Callable
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

    def run() -> None:
        try:
            results.append(call(work))
        except BaseException as error:  # handed to the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        with progress.task(name, total, unit) as task:
            _follow(thread, lambda: min(work.done // units, total), task)
    except BaseException:
        work.cancel()
        thread.join()
        raise
    with damage_told():
        if errors:
            raise errors[0]
    return results[0]


def _follow(thread: threading.Thread, done: Callable[[], int], task: Task) -> None:
    told, is_over = 0, False
    while not is_over:
        thread.join(_POLL_S)
        is_over = not thread.is_alive()
        reached = done()
        if reached > told:
            task.advance(reached - told)
            told = reached
