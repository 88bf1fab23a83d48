"""Whether a grammar can be used, found out in a process of its own: what explodes is killed there."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import weakref

from potstill.constraints.limits import TRIAL_CPU_S
from potstill.errors import MissingError

# The worker's time is of the processor; where others have it, this ends the wait.
_PATIENCE_S = 10.0
_WORKER = "potstill.constraints.trial_worker"


class Trial:
    """The worker is started with the first grammar, and again after one that killed it; it ends with this."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the worker now, which takes a tenth of a second, while something else is done."""
        with self._lock:
            self._running()

    def objection(self, grammar: str) -> str | None:
        """What is said against a grammar as llguidance takes it; None where it can be used."""
        with self._lock:
            worker = self._running()
            assert worker.stdin is not None and worker.stdout is not None
            try:
                worker.stdin.write(json.dumps(grammar).encode() + b"\n")
                worker.stdin.flush()
                ready, _, _ = select.select([worker.stdout], [], [], _PATIENCE_S)
                answer = worker.stdout.readline() if ready else b""
            except BrokenPipeError:
                answer = b""
            if not answer:
                exit_code = self._bury(worker)
                # By the next grammar its successor has started.
                self._running()
                return _cause(exit_code)
            told: str | None = json.loads(answer)
            return told

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is None:
            paths = [path for path in sys.path if path]
            self._worker = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
            weakref.finalize(self, _end, self._worker)
        return self._worker

    def _bury(self, worker: subprocess.Popen[bytes]) -> int:
        self._worker = None
        # Its pipe closes a moment before it is seen to be dead; one that only took too long is not.
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=0.1)
        _end(worker)
        return worker.returncode


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _cause(exit_code: int) -> str:
    if exit_code in (-signal.SIGPROF, -signal.SIGKILL):
        return f"making it ready takes more than {TRIAL_CPU_S} s"
    if exit_code in (-signal.SIGSEGV, -signal.SIGBUS):
        return "its rules lead from one to the next too deeply"
    if exit_code == -signal.SIGABRT:
        return "making it ready takes too much memory"
    raise MissingError(
        f"The process that grammars are tried in ended with {exit_code}. "
        f"Most often memory ran out: try again."
    )
