"""Native calls in a thread of their own."""

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from potstill import _native
from potstill.errors import DamagedError
from potstill.index.native_work import run_native
from potstill.progress import Silent


class Recorded:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.done = 0.0
        self.notes: list[str] = []

    @contextmanager
    def task(self, name: str, total: float, unit: str, *, done: float = 0) -> Iterator["Recorded"]:
        yield self

    def advance(self, count: float = 1) -> None:
        self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)


class FakeWork:
    def __init__(self) -> None:
        self.done, self.is_cancelled = 0, threading.Event()

    def cancel(self) -> None:
        self.is_cancelled.set()


@pytest.fixture
def fake_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "Work", FakeWork)


def test_the_result_comes_back_and_progress_is_told_in_the_users_unit(fake_work: None) -> None:
    def call(work: FakeWork) -> str:
        work.done = 400
        return "sorted"

    progress = Recorded()
    assert run_native(call, progress, "sort", 100, units=4) == "sorted"
    assert progress.done == 100


def test_damage_and_other_errors_are_raised_where_the_caller_waits() -> None:
    def damaged(work: object) -> None:
        raise _native.DamagedFileError("tokens.bin, byte 7: wrong")

    with pytest.raises(DamagedError, match="tokens.bin, byte 7"):
        run_native(damaged, Silent(), "sort", 1)
    with pytest.raises(FileNotFoundError):
        run_native(lambda work: _native.crc32c_blocks("/nowhere/at/all"), Silent(), "sum", 1)


def test_an_interrupt_cancels_the_call_and_waits_until_it_has_ended(fake_work: None) -> None:
    ended = threading.Event()

    def call(work: FakeWork) -> None:
        work.done = 1
        assert work.is_cancelled.wait(30)
        time.sleep(0.05)
        ended.set()
        raise _native.CancelledError("cancelled")

    class Interrupting(Recorded):
        def advance(self, count: float = 1) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_native(call, Interrupting(), "sort", 10)
    assert ended.is_set()


def test_an_interrupt_while_the_thread_starts_waits_for_its_end_too(
    fake_work: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, ended = threading.Thread.start, threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    def call(work: FakeWork) -> None:
        assert work.is_cancelled.wait(30)
        time.sleep(0.05)
        ended.set()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_native(call, Silent(), "sort", 10)
    assert ended.is_set()


def test_a_second_interrupt_does_not_leave_the_native_core_at_work(fake_work: None) -> None:
    ended = threading.Event()

    def call(work: FakeWork) -> None:
        _thread.interrupt_main()
        assert work.is_cancelled.wait(30)
        _thread.interrupt_main()
        time.sleep(0.2)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        run_native(call, Silent(), "sort", 10)
    assert ended.is_set()
