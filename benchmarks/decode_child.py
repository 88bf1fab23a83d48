"""One system under test in a process of its own: questions and answers as lines of JSON.

A child that fails says so in its answer, one that crashes or hangs is ended and reported; the others go on.
Nothing here needs more than the standard library, since rivals run in environments of their own.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class ChildError(Exception):
    """What a child could not do, in a line."""


class Child:
    """`seconds_to_start` is the time from the start of the process until its model could write."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        log: Path,
        timeout_s: float = 180.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self._log = name, log
        self._answers: queue.Queue[str | None] = queue.Queue()
        started = time.perf_counter()
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", **(env or {})},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()
        self.facts = self._answer(timeout_s)
        self.seconds_to_start = time.perf_counter() - started

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: str, timeout_s: float, **arguments: object) -> Answer:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"ask": question, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise ChildError(f"{self.name} is not running any more; see {self._log}") from None
        return self._answer(timeout_s)

    def close(self) -> None:
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answer(self, timeout_s: float) -> Answer:
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close()
            raise ChildError(f"{self.name} did not answer within {timeout_s:.0f} s") from None
        if line is None:
            status = self._process.wait()
            raise ChildError(f"{self.name} ended with status {status}: {self._last_words()}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{self.name}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)


def serve(load: Callable[[], Mapping[str, Callable[..., Answer]]]) -> None:
    """The child's side: load, say so, answer until the parent goes. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: Answer) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    known = _tried(load, say)
    if known is None:
        return
    say({"pid": os.getpid(), "rss_bytes": rss_bytes(), "peak_rss_bytes": rss_bytes("VmHWM")})
    for line in sys.stdin:
        question = json.loads(line)
        answer = _tried(lambda asked=question: known[asked.pop("ask")](**asked), say)
        if answer is not None:
            say({**answer, "rss_bytes": rss_bytes(), "peak_rss_bytes": rss_bytes("VmHWM")})


def _tried(work: Callable[[], Any], say: Callable[[Answer], None]) -> Any:
    try:
        return work()
    except Exception as error:
        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {str(error)[:300]}"})
        return None


def rss_bytes(field: str = "VmRSS") -> int:
    """Memory of this process that is resident now, or was at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0
