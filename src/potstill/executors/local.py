"""Work in processes of this machine, or in this very process where one worker is asked for.

The messages between the processes are multiprocessing's own. A worker ends with the process that started it,
also where that one is killed; it is a fresh interpreter, so it takes no lock and no thread along.
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from potstill.devices import available_cores
from potstill.errors import MissingError
from potstill.executors.executor import Cancelled, Executor, Item, Residents, Result
from potstill.executors.outcome import Failed, Outcome, outcome_in_worker
from potstill.executors.residents import ResidentsHere

MAX_ATTEMPTS = 2
_LOOK_AROUND_S = 0.1


def open_local(num_workers: int | None = None) -> Executor:
    """`num_workers` processes (None: one a core); a single worker needs none and works in this one."""
    count = num_workers or available_cores()
    return InProcess() if count == 1 else Processes(count)


class InProcess:
    """One item after the other, here."""

    num_workers = workers_a_machine = 1

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_done: Callable[[int], None] = lambda index: None,
    ) -> list[Result]:
        results = []
        for index, item in enumerate(items):
            if self._cancelled.is_set():
                raise Cancelled
            results.append(function(item))
            on_done(index)
        return results

    def settle(self, factory: Callable[[Item], Any], items: Sequence[Item]) -> Residents:
        return ResidentsHere(factory, items)

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Worker:
    """A process, the pipe to it, and the number of the item it works on."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        # Not a daemon: those may not start processes of their own.
        self.process = context.Process(target=_serve, args=(theirs,), daemon=False)
        self.process.start()
        theirs.close()
        self.index = -1

    def start(self, function: Callable[[Any], Any], index: int, item: Any) -> None:
        self.index = index
        self.pipe.send((function, item))

    def outcome(self) -> Outcome | None:
        """What the item came to, or None where the worker died over it."""
        try:
            outcome: Outcome | None = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            return None
        except Exception as error:
            return Failed(f"The result could not be unpacked: {error!r}")
        return outcome

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class Processes:
    """`num_workers` processes, each with one item at a time; they are started when there is work."""

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._cancelled = threading.Event()
        # At its end a program waits for its processes, and these would wait for work.
        atexit.register(self.close)

    @property
    def num_workers(self) -> int:
        return self._num_workers

    @property
    def workers_a_machine(self) -> int:
        return self._num_workers

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_done: Callable[[int], None] = lambda index: None,
    ) -> list[Result]:
        results: dict[int, Result] = {}
        attempts = [0] * len(items)
        waiting = deque(range(len(items)))
        busy: list[_Worker] = []
        try:
            while waiting or busy:
                while waiting and len(busy) < self._num_workers:
                    index = waiting.popleft()
                    attempts[index] += 1
                    busy.append(self._give(function, index, items[index]))
                for worker in self._finished(busy):
                    outcome = worker.outcome()
                    busy.remove(worker)
                    if outcome is None:
                        self._bury(worker, attempts[worker.index])
                        waiting.appendleft(worker.index)
                    else:
                        self._idle.append(worker)
                        results[worker.index] = outcome.value()
                        on_done(worker.index)
        except BaseException:
            # What the others are at is of no use any more, and they would not hear of it before its end.
            for worker in busy:
                self._end(worker)
            raise
        return [results[index] for index in range(len(items))]

    def settle(self, factory: Callable[[Item], Any], items: Sequence[Item]) -> Residents:
        # Other processes would map the same files, and every answer would have to travel.
        return ResidentsHere(factory, items)

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        atexit.unregister(self.close)
        while self._workers:
            self._end(self._workers[-1])
        self._idle.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _give(self, function: Callable[[Any], Any], index: int, item: Any) -> _Worker:
        worker = self._free_worker()
        try:
            worker.start(function, index, item)
        except ConnectionError:
            # It died: that is seen where its answer is waited for.
            pass
        except Exception as error:
            self._idle.append(worker)
            raise RuntimeError(f"The work cannot travel: {error!r}") from error
        return worker

    def _free_worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                return worker
            self._end(worker)
        worker = _Worker()
        self._workers.append(worker)
        return worker

    def _finished(self, busy: list[_Worker]) -> list[_Worker]:
        """Those with an answer, or dead; none after a moment, so that a cancel is seen."""
        if self._cancelled.is_set():
            raise Cancelled
        ready = wait([worker.pipe for worker in busy], timeout=_LOOK_AROUND_S)
        # Processes that a dead worker started may hold its end of the pipe open.
        return [worker for worker in busy if worker.pipe in ready or not worker.process.is_alive()]

    def _bury(self, worker: _Worker, attempts: int) -> None:
        worker.process.join(timeout=1)
        code = worker.process.exitcode
        self._end(worker)
        if attempts >= MAX_ATTEMPTS:
            raise MissingError(
                f"A worker process ended {attempts} times over item {worker.index} ({_told(code)}). "
                f"Most often memory ran out: use fewer workers, then run the same command again."
            )

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.kill()


def _told(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"it exited with {exitcode}"


def _serve(pipe: Connection) -> None:
    # Ctrl-C reaches every process of a terminal; the one that gave the work decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, item = pipe.recv()
        except EOFError:
            return
        except Exception as error:
            pipe.send(Failed(f"The work could not be unpacked: {error!r}"))
            continue
        _answer(pipe, outcome_in_worker(function, item))


def _answer(pipe: Connection, outcome: Outcome) -> None:
    try:
        pipe.send(outcome)
    except BrokenPipeError:
        pass
    except Exception as error:
        pipe.send(Failed(f"The result cannot travel: {error!r}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
