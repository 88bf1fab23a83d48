"""What a user sees of work that takes a while."""

import io

import pytest

from potstill.progress import Lines, Silent, format_duration, progress_for


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_read_like_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_pipe_gets_lines_that_count_from_what_was_done_before() -> None:
    stream = io.StringIO()
    with Lines(stream, every_s=0).task("train", 100, "steps", done=40) as task:
        task.note("loss 2.1")
        task.advance(10)
    first, last = stream.getvalue().splitlines()
    assert first.startswith("train: 50/100 steps, ") and first.endswith(", loss 2.1")
    assert last.startswith("train: 50 steps in ")


def test_where_it_goes_decides_what_is_shown() -> None:
    assert isinstance(progress_for(io.StringIO()), Lines)
    assert isinstance(progress_for(io.StringIO(), quiet=True), Silent)
