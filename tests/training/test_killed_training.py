"""A training killed by SIGKILL, at any moment and more than once, ends in the bytes of one left alone."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("trained_by_a_process.py")
pytestmark = pytest.mark.slow
Run = Callable[..., int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Trains into a folder in a process of its own, which may die at a moment; gives its exit status."""
    command = [sys.executable, str(SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        requests, answers = process.stdin, process.stdout

        def ask(folder: Path, *moment: str | int) -> int:
            print(json.dumps([str(folder), *moment]), file=requests, flush=True)
            return int(answers.readline())

        yield ask


def digests(folder: Path) -> list[str]:
    return [
        hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("weights.bin", "training/loss.jsonl")
    ]


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder) == 0
    return digests(folder)


@pytest.mark.parametrize(
    "kills",
    [
        [("before a step", 1)],
        [("before a step", 6), ("before a step", 2)],
        [("before a log record", 5)],
        [("before a checkpoint", 2), ("before a checkpoint", 4)],
        [("with the state written and no table", 3)],
        [("before a rename", 4), ("before a rename", 2)],
        [("before the old one is removed", 3)],
    ],
    ids=lambda kills: ", ".join(" ".join(map(str, kill)) for kill in kills),
)
def test_a_killed_training_ends_in_the_same_bytes(tmp_path, run, undisturbed, kills):
    for moment in kills:
        assert run(tmp_path, *moment) == -signal.SIGKILL
    assert run(tmp_path) == 0
    assert digests(tmp_path) == undisturbed
    assert not list((tmp_path / "training").glob(".tmp-*"))
