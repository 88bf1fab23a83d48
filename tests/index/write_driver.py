"""Changes of an index in a process of its own, each with at most one fault; forked by the tests.

A point is any call that changes the disk, as in runs/crash_driver.py, and each call of the native core that
writes: before it, and after it.
"""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from potstill import _native
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import PotstillError
from potstill.index import segment_build
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.merge import merge_index
from potstill.index.parts import plan_parts
from runs.crash_driver import Points

SETTINGS = BuildSettings(memory_bytes=64 << 20)
NATIVE_CALLS = ("build_suffixes", "sort_part", "merge_parts")
Change = Callable[[Path], object]


class Fault(NamedTuple):
    """SIGKILL before the point with that number, or the system's error with that `number` at it.

    A disk or a quota that is full stays so; an error of the disk (EIO) comes once.
    """

    kill_at: int | None = None
    fail_at: int | None = None
    number: int = errno.ENOSPC


class DiskPoints(Points):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kill_at, fault.fail_at)
        self._removes_count = fault.fail_at is None
        self._number = fault.number

    def reach(self) -> None:
        try:
            super().reach()
        except OSError:
            if self._number == errno.EIO:
                self._full_at = None
            raise OSError(self._number, os.strerror(self._number)) from None

    def install(self) -> None:
        super().install()
        # What a killed process wrote is not lost, and syncing takes most of the time.
        os.fsync = self.before(lambda descriptor: None)
        names = ["link", "rename", *(["rmdir"] if self._removes_count else [])]
        for name in names:
            setattr(os, name, self.before(getattr(os, name)))
        for name in NATIVE_CALLS:
            if hasattr(_native, name):
                setattr(_native, name, self.around(getattr(_native, name)))

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def reached(*arguments: Any, **options: Any) -> Any:
            self.reach()
            result = call(*arguments, **options)
            self.reach()
            return result

        return reached


def changes(texts: Path, more: Path) -> Mapping[str, Change]:
    """Each kind of change, of an index that is built from `texts` or has been."""
    return {
        "build": lambda index: build_index([texts], index, ByteVocabulary(), SETTINGS),
        "parts": lambda index: _in_parts(lambda: build_index([texts], index, ByteVocabulary(), SETTINGS)),
        "replace": lambda index: build_index([more], index, ByteVocabulary(), SETTINGS),
        "add": lambda index: add(index, [more], SETTINGS),
        "delete": lambda index: delete(index, documents=[1, 2], memory_bytes=SETTINGS.memory_bytes),
        "merge": lambda index: merge_index(index, SETTINGS.sort),
    }


def forked(change: Callable[[], object], fault: Fault | None = None) -> tuple[int, int]:
    """How a child process that makes the change ends, and how many points it reached.

    99 is a traceback, which no fault may cause.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os._exit(_run(change, fault, writing))
    os.close(writing)
    with os.fdopen(reading) as told:
        count = told.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(count or 0)


def _run(change: Callable[[], object], fault: Fault | None, told: int) -> int:
    points = DiskPoints(fault or Fault())
    points.install()
    code = 0
    try:
        change()
    except PotstillError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        # As in cli/main.py.
        is_told = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        if not is_told:
            traceback.print_exc()
        code = 4 if is_told else 99
    except BaseException:
        traceback.print_exc()
        code = 99
    os.write(told, str(points.count).encode())
    return code


def killed_after(change: Callable[[], object], seconds: float) -> int:
    """How a child that makes the change ends when SIGKILL comes after so much time."""
    child = os.fork()
    if child == 0:
        os._exit(_run(change, None, os.open(os.devnull, os.O_WRONLY)))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _in_parts(change: Callable[[], object]) -> object:
    """With so little memory that a stream is sorted in several parts."""
    before = segment_build.plan
    segment_build.plan = lambda borders, *_: plan_parts(borders, 300)  # type: ignore[assignment]
    try:
        return change()
    finally:
        segment_build.plan = before
