"""How long work tells its user where it stands: to stderr, with a rate and the time left.

A library function takes a `Progress` and opens a task; what is shown depends on where stderr goes.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID as RichTaskId


class Task(Protocol):
    def advance(self, count: float = 1) -> None: ...

    def note(self, text: str) -> None:
        """A short word on how it goes, shown beside the bar."""
        ...


class Progress(Protocol):
    def task(self, name: str, total: float, unit: str, *, done: float = 0) -> AbstractContextManager[Task]:
        """A piece of work of `total` units, of which `done` were finished by an earlier process."""
        ...


class _SilentTask:
    def advance(self, count: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Silent:
    @contextmanager
    def task(self, name: str, total: float, unit: str, *, done: float = 0) -> Iterator[Task]:
        yield _SilentTask()


@dataclass
class _LineTask:
    name: str
    total: float
    unit: str
    done: float
    stream: TextIO
    every_s: float
    started: float = field(default_factory=time.monotonic)
    _worked: float = 0
    _told: float = field(default_factory=time.monotonic)
    _note: str = ""

    def advance(self, count: float = 1) -> None:
        self.done += count
        self._worked += count
        if time.monotonic() - self._told >= self.every_s:
            self._told = time.monotonic()
            self.tell()

    def note(self, text: str) -> None:
        self._note = text

    def tell(self) -> None:
        rate = self._worked / max(time.monotonic() - self.started, 1e-9)
        left = (self.total - self.done) / rate if rate else 0
        note = f", {self._note}" if self._note else ""
        self.stream.write(
            f"{self.name}: {self.done:,.0f}/{self.total:,.0f} {self.unit}, "
            f"{rate:,.1f}/s, {format_duration(left)} left{note}\n"
        )
        self.stream.flush()


class Lines:
    """A line every ten seconds: for logs, pipes and TERM=dumb."""

    def __init__(self, stream: TextIO = sys.stderr, every_s: float = 10) -> None:
        self._stream, self._every_s = stream, every_s

    @contextmanager
    def task(self, name: str, total: float, unit: str, *, done: float = 0) -> Iterator[Task]:
        task = _LineTask(name, total, unit, done, self._stream, self._every_s)
        yield task
        took = format_duration(time.monotonic() - task.started)
        self._stream.write(f"{name}: {task.done:,.0f} {unit} in {took}\n")
        self._stream.flush()


class Bars:
    """A bar for each task on a terminal."""

    @contextmanager
    def task(self, name: str, total: float, unit: str, *, done: float = 0) -> Iterator[Task]:
        from rich import progress as rich_progress
        from rich.console import Console

        columns = (
            rich_progress.TextColumn("{task.description:<12}"),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
            rich_progress.TextColumn("{task.fields[rate]}"),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("[dim]{task.fields[note]}"),
        )
        with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:
            task_id = bars.add_task(name, total=total, completed=int(done), unit=unit, rate="", note="")
            yield _BarTask(bars, task_id)


class _BarTask:
    def __init__(self, bars: "RichProgress", task_id: "RichTaskId") -> None:
        self._bars, self._task_id = bars, task_id

    def advance(self, count: float = 1) -> None:
        self._bars.advance(self._task_id, count)
        speed = self._bars.tasks[0].speed
        if speed:
            self._bars.update(self._task_id, rate=f"{speed:,.1f}/s")

    def note(self, text: str) -> None:
        self._bars.update(self._task_id, note=text)


def progress_for(stream: TextIO, *, quiet: bool = False) -> Progress:
    if quiet:
        return Silent()
    return Bars() if _is_terminal(stream) else Lines(stream)


def format_duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"
