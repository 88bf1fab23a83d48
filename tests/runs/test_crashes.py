"""SIGKILL at every point that touches the disk, and at random: the resumed run ends in the same bytes."""

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from potstill.runs.execute import LEDGER_NAME
from potstill.runs.ledger import Ledger
from small_disk import small_disk_at

DRIVER = Path(__file__).with_name("crash_driver.py")


def drive(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DRIVER), str(folder), *options], capture_output=True, text=True, timeout=60
    )


def forked(folder: Path, *options: str) -> int:
    """The driver in a forked child of a small process, without the cost of starting Python again."""
    child = os.fork()
    if child == 0:
        try:
            from runs import crash_driver

            sys.argv = ["crash_driver.py", str(folder), *options]
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            crash_driver.main()
            os._exit(0)
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hashes(folder: Path) -> dict[str, str]:
    """Of everything in the run's folder but the ledger, whose times differ."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.startswith(LEDGER_NAME)
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = drive(folder, "--count")
    assert done.returncode == 0, done.stderr
    return hashes(folder), int(done.stdout)


def check_resumed(folder: Path, wanted: dict[str, str]) -> None:
    assert hashes(folder) == wanted
    assert not list(folder.rglob(".tmp-*"))
    connection = sqlite3.connect(folder / LEDGER_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Ledger.read(folder / LEDGER_NAME) as ledger:
        stages = ledger.stages()
        assert {stage.name for stage in stages if stage.outcome == "done"} == {
            "contexts", "candidates", "pairs", "report",
        }  # fmt: skip
        assert not [stage for stage in stages if stage.ended is None]
        for stage in stages:
            assert len(ledger.figures(stage.fingerprint)) == 3


@pytest.mark.slow
def test_a_kill_at_every_point_that_touches_the_disk_changes_no_byte(
    tmp_path: Path, uninterrupted: tuple[dict[str, str], int]
) -> None:
    wanted, num_points = uninterrupted
    assert num_points > 100
    for point in range(num_points):
        folder = tmp_path / f"run-{point}"
        assert forked(folder, "--kill-at", str(point)) == -signal.SIGKILL, point
        assert forked(folder) == 0, point
        check_resumed(folder, wanted)


@pytest.mark.slow
def test_kills_one_after_the_other_end_in_the_same_bytes(
    tmp_path: Path, uninterrupted: tuple[dict[str, str], int]
) -> None:
    wanted, _ = uninterrupted
    random_points = random.Random(0)
    for attempt in range(10):
        folder = tmp_path / f"run-{attempt}"
        kills = 0
        while forked(folder, "--kill-at", str(random_points.randrange(10, 60))) != 0:
            kills += 1
            assert kills < 200
        assert kills > 3
        check_resumed(folder, wanted)


@pytest.mark.slow
def test_a_full_disk_at_any_point_ends_with_4_and_the_run_goes_on_afterwards(
    tmp_path: Path, uninterrupted: tuple[dict[str, str], int]
) -> None:
    wanted, _ = uninterrupted
    num_full = 0
    for point in range(0, 200, 4):
        folder = tmp_path / f"run-{point}"
        code = forked(folder, "--full-at", str(point))
        assert code in (0, 4), point
        num_full += code == 4
        assert not list(folder.rglob(".tmp-*.json")), point
        assert forked(folder) == 0, point
        check_resumed(folder, wanted)
        if code == 0:
            break
    assert num_full > 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", "512k") as folder:
        yield folder


def test_a_run_on_a_disk_that_is_really_full_ends_with_4_and_resumes(
    tiny_disk: Path, uninterrupted: tuple[dict[str, str], int]
) -> None:
    folder, ballast = tiny_disk / "run", tiny_disk / "ballast"
    free = shutil.disk_usage(tiny_disk).free
    codes = set()
    for left in range(free // 8, free, free // 8):
        ballast.write_bytes(bytes(max(shutil.disk_usage(tiny_disk).free - left, 0)))
        codes.add(drive(folder).returncode)
        ballast.unlink()
    assert codes <= {0, 4} and 4 in codes
    assert drive(folder).returncode == 0
    check_resumed(folder, uninterrupted[0])


def test_kills_at_random_times_end_in_the_same_bytes(
    tmp_path: Path, uninterrupted: tuple[dict[str, str], int]
) -> None:
    wanted, _ = uninterrupted
    wait = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(tmp_path), "--slow"], stdout=subprocess.DEVNULL
        )
        time.sleep(wait.uniform(0.15, 0.5))
        process.kill()
        process.wait()
    assert drive(tmp_path).returncode == 0
    check_resumed(tmp_path, wanted)


def test_a_second_process_is_refused_within_a_second_and_names_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder, holder.stdout as said:
        assert said.readline() == "held\n"
        started = time.monotonic()
        code, message = second_process(tmp_path)
        took = time.monotonic() - started
        holder.kill()
    assert code == 3 and f"process {holder.pid}" in message
    print(f"refused after {took:.2f} s, interpreter start included")
    assert took < 10
    assert drive(tmp_path).returncode == 0, "a lock left by a killed process must not hold"


def second_process(folder: Path) -> tuple[int, str]:
    done = drive(folder)
    # The driver is no command: the error class carries the exit code the command line would use.
    from potstill.errors import LockedError

    last = done.stderr.strip().splitlines()[-1]
    return (LockedError.exit_code if "LockedError" in last else done.returncode), last


HOLD = """
import time
from collections.abc import Iterator
from pathlib import Path
from potstill.locks import locked
with locked(Path({folder!r})):
    print("held", flush=True)
    time.sleep(60)
"""
