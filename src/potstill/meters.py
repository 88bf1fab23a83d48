"""How long a piece of work took and how much memory it needed, at the least cost of asking."""

import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Measured:
    """seconds of wall time, cpu_seconds of all threads, peak_bytes of resident memory."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def measuring() -> Iterator[Measured]:
    """Measure the block; the figures stand when it has ended, by an exception too.

    Where the kernel lets a process reset its peak (Linux), the peak is that of the block, and blocks must not
    be nested; elsewhere it is the peak of the process so far.
    """
    measured = Measured()
    _forget_peak()
    started, cpu_started = time.perf_counter(), time.process_time()
    try:
        yield measured
    finally:
        measured.seconds = time.perf_counter() - started
        measured.cpu_seconds = time.process_time() - cpu_started
        measured.peak_bytes = peak_bytes()


def peak_bytes() -> int:
    """The most resident memory this process has had, in bytes."""
    if _STATUS.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    # Where this is not Linux, or /proc is read-only, the peak is that of the process.
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
