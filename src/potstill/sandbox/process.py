"""A worker process for what nobody vouches for: started when it is needed, killed when it takes too long.

It runs no shell, sees no arguments of the user's, no open files but its two pipes, and of the environment
only where libraries lie and the time zone. It has confined itself before it reads its first request
(`confinement.py`), and ends when its parent does.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, UsageError
from potstill.sandbox.limits import SandboxLimits

# Without `site`, so that nothing an environment installs runs at the start; the paths are told instead.
_START = (
    "import json, sys; told = json.loads(sys.argv[1]); sys.path += told['paths']; "
    "from importlib import import_module; from potstill.sandbox.limits import SandboxLimits; "
    "import_module(told['module']).main(SandboxLimits(**told['limits']))"
)
# What an interpreter may need to find its own libraries and the local time.
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TZ")
_START_S, _GRACE_S = 20.0, 0.25
_READ_BYTES = 1 << 16


class WorkerStopped(Exception):
    """The worker gave no answer and is gone; the text says why, as in `it took longer than 1 s`.

    `exit_code` is what its process ended with by itself, a signal as a negative number.
    """

    def __init__(self, reason: str, exit_code: int | None = None) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class RequestTooLarge(UsageError):
    """A request has more bytes than a worker reads."""


class WorkerProcess:
    """One worker that runs `module`'s `main`, and its successors. Threads wait for each other.

    `packages` are what that module imports beside potstill and the standard library.
    """

    def __init__(
        self, module: str, packages: tuple[str, ...] = (), limits: SandboxLimits | None = None
    ) -> None:
        self.limits = limits or SandboxLimits()
        self._module, self._packages = module, packages
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The worker's answer; WorkerStopped where there is none, and RequestTooLarge before it is sent."""
        line = self._line(request)
        with self._lock:
            worker = self._started()
            try:
                reply = worker.exchange(line, self.limits.wall_s + _GRACE_S, self.limits.reply_bytes)
                if not isinstance(reply, dict):
                    raise WorkerStopped("its answer is none")
            except BaseException:
                # Whatever is still under way belongs to nobody.
                self._end()
                raise
            used_s = reply.pop("cpu_s", None)
            if (
                reply.get("error") == "limit"
                or not isinstance(used_s, float)
                or used_s > self.limits.cpu_s / 2
            ):
                # What ran out of memory may leave some in use, and processor time ends for good.
                self._end()
            return reply

    def held(self) -> list[str]:
        """What the worker is confined by, by name (`confinement.confine`)."""
        with self._lock:
            return self._started().held

    def process_id(self) -> int:
        with self._lock:
            return self._started().process.pid

    def close(self) -> None:
        """End the worker; the next call starts another."""
        with self._lock:
            self._end()

    def _line(self, request: Mapping[str, Any]) -> bytes:
        try:
            line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:
            raise UsageError(
                "A message holds half a character, as a byte that is not UTF-8 becomes. Remove it."
            ) from None
        if len(line) > self.limits.request_bytes:
            raise RequestTooLarge(
                f"The messages take {len(line):,} bytes; {self.limits.request_bytes:,} are read at most. "
                f"Leave the oldest out."
            )
        return line

    def _started(self) -> "_Running":
        running = self._running
        if running is not None and running.is_usable():
            return running
        self._end()
        self._running = _Running(self._command())
        return self._running

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def _command(self) -> list[str]:
        if not sys.executable:
            raise PotstillError("This Python does not know its own program, so no worker can be started.")
        names = ("potstill", *self._packages)
        told = {
            "module": self._module,
            "limits": asdict(self.limits),
            "paths": list(dict.fromkeys(_folder_of(name) for name in names)),
        }
        return [sys.executable, "-I", "-S", "-c", _START, json.dumps(told)]


class _Running:
    """A worker that has said it is ready."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            # Ctrl-C in the terminal is for the parent.
            start_new_session=True,
        )
        self._parent = os.getpid()
        self._finalizer = weakref.finalize(self, _kill, self.process, self._parent)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
        try:
            told = self.exchange(b"", _START_S, _READ_BYTES)
        except WorkerStopped as error:
            self.end()
            raise PotstillError(
                f"The worker process did not start ({error}): {command[0]} -I -S. "
                f"Try again, or check that this Python runs on its own."
            ) from None
        except BaseException:
            self.end()
            raise
        self.held: list[str] = list(told["held"])

    def is_usable(self) -> bool:
        """False in a process that was forked from the one that started it."""
        return self._parent == os.getpid() and self.process.poll() is None

    def end(self) -> None:
        self._finalizer()

    def exchange(self, line: bytes, wall_s: float, most_bytes: int) -> Any:
        """Send a line and read one; neither side can make the other wait longer than `wall_s`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        deadline = time.monotonic() + wall_s
        rest, found = memoryview(line), bytearray()
        poll, out, back = select.poll(), self.process.stdin.fileno(), self.process.stdout.fileno()
        poll.register(back, select.POLLIN)
        if rest:
            poll.register(out, select.POLLOUT)
        while not found.endswith(b"\n"):
            left_ms = (deadline - time.monotonic()) * 1000
            events = dict(poll.poll(left_ms)) if left_ms > 0 else {}
            if not events:
                raise WorkerStopped(f"it took longer than {wall_s - _GRACE_S:g} s")
            if out in events and rest:
                rest = rest[self._write(out, rest) :]
                if not rest:
                    poll.unregister(out)
            if back in events:
                found += self._read(back)
                if len(found) > most_bytes:
                    raise WorkerStopped(f"it answers with more than {most_bytes:,} bytes")
        try:
            return json.loads(found)
        except (ValueError, RecursionError):
            raise WorkerStopped("its answer is none") from None

    def _write(self, descriptor: int, content: memoryview) -> int:
        try:
            return os.write(descriptor, content)
        except BrokenPipeError:
            raise self._stopped() from None

    def _read(self, descriptor: int) -> bytes:
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:
            raise self._stopped()
        return piece

    def _stopped(self) -> WorkerStopped:
        try:
            code = self.process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            return WorkerStopped("it closed its answers")
        if code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
            return WorkerStopped("it took too long", code)
        return WorkerStopped(f"its process ended with {code}", code)


def _kill(process: "subprocess.Popen[bytes]", parent: int) -> None:
    if os.getpid() == parent:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _folder_of(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PotstillError(f"{package} is not installed as files, so no worker can be started.")
    return str(Path(spec.origin).parent.parent)
