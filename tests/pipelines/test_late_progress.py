from contextlib import contextmanager

import pytest

from potstill.pipelines import late_progress
from potstill.pipelines.late_progress import late_task


class Shown:
    """Notes what is shown, as (name, total, done before, done since)."""

    def __init__(self) -> None:
        self.tasks: list[list[object]] = []

    @contextmanager
    def task(self, name, total, unit, *, done=0):
        self.tasks.append([name, total, done, 0])
        yield self

    def advance(self, count=1) -> None:
        self.tasks[-1][3] += count

    def note(self, text) -> None: ...


@pytest.mark.parametrize(
    ("seconds_each", "total", "shown"),
    [
        (0.3, 6, []),
        (1.0, 10, [["work", 10, 3, 7]]),
        (2.5, 1, []),
        (1.05, 2, []),
        (5.0, 3, [["work", 3, 1, 2]]),
    ],
)
def test_a_bar_comes_when_work_has_taken_two_seconds_and_there_is_more(
    seconds_each: float, total: int, shown: list[list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(late_progress.time, "monotonic", lambda: now[0])
    bar = Shown()
    with late_task(bar, "work", total, "inputs") as task:
        for _ in range(total):
            now[0] += seconds_each
            task.advance()
    assert bar.tasks == shown
