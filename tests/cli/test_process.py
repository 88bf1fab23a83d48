"""What only a process of its own shows: how fast it starts, what signals do, what a pipe gets."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_distill.py")
TESTS = str(FAKE.parent.parent)
# A machine that is busy with other things may take ten times as long as the aim.
PATIENCE = 10


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, TESTS]), **changes}


def potstill(*arguments: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(FAKE), *arguments], capture_output=True, timeout=60, env=environment(**changes)
    )


@pytest.mark.parametrize(("argument", "aim_s"), [("--version", 0.15), ("--help", 0.3)])
def test_the_first_answers_come_at_once(argument: str, aim_s: float) -> None:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "potstill", argument], capture_output=True, env=environment(), timeout=60
        )
        took.append(time.perf_counter() - started)
        assert done.returncode == 0, done.stderr
    print(f"potstill {argument}: {min(took) * 1000:.0f} ms (aim {aim_s * 1000:.0f} ms)")
    assert min(took) < aim_s * PATIENCE


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom potstill.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'pyarrow', 'rich', 'huggingface_hub', 'sqlite3'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr


def test_openmp_spins_less_unless_the_user_chose_otherwise() -> None:
    code = (
        "import os, sys\nfrom potstill.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\nsys.stderr.write(os.environ.get('GOMP_SPINCOUNT', 'default'))"
    )

    def spin_count(**changes: str) -> str:
        plain = {k: v for k, v in environment().items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={**plain, **changes}, timeout=60
        )
        return done.stderr.decode()

    assert spin_count() == "10000"
    assert spin_count(GOMP_SPINCOUNT="7") == "7"
    assert spin_count(OMP_WAIT_POLICY="active") == "default"


def started_run(folder: Path, **changes: str) -> subprocess.Popen[bytes]:
    """A run that has reached its slow stage."""
    process = subprocess.Popen(
        [sys.executable, str(FAKE), "distill", "--task", "shorten", "--out", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(FAKE_SLEEP_S="60"),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"training\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_its_code_and_the_way_to_go_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with started_run(tmp_path / "run") as process:
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"potstill run resume {tmp_path / 'run'}".encode() in told and b"Traceback" not in told
    assert potstill("run", "resume", str(tmp_path / "run")).returncode == 0


def test_a_second_run_on_the_same_folder_is_refused_at_once_and_names_the_first(tmp_path: Path) -> None:
    with started_run(tmp_path / "run") as first:
        started = time.perf_counter()
        second = potstill("distill", "--task", "shorten", "--out", str(tmp_path / "run"))
        took = time.perf_counter() - started
        first.kill()
        first.communicate()
    print(f"refused after {took * 1000:.0f} ms (aim 1000 ms)")
    assert second.returncode == 3 and f"process {first.pid}".encode() in second.stderr
    assert took < PATIENCE
    assert potstill("run", "resume", str(tmp_path / "run")).returncode == 0


def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    done = potstill(
        "distill", "--task", "shorten", "--out", str(tmp_path / "run"), FORCE_COLOR="", TERM="dumb"
    )
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    assert not {"─", "│", "━"} & set(done.stdout.decode() + done.stderr.decode())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_terminal_encoding_can_show_results(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "漢字"
    done = potstill(
        "distill", "--task", "shorten", "--out", str(folder), PYTHONIOENCODING=encoding, LC_ALL="C"
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_leaves_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m potstill config schema | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment(), timeout=60)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--version", "config show", "config show --json", "run list --json"])
def test_a_full_disk_under_stdout_is_one_line_on_stderr(words: str, unbuffered: str) -> None:
    command = f"{sys.executable} -m potstill {words} > /dev/full"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, env=environment(PYTHONUNBUFFERED=unbuffered), timeout=60
    )
    assert done.returncode == 4
    assert done.stderr.startswith(b"potstill: No room left") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", ["--version", "config show", "config show --json", "run list"])
def test_a_closed_stdout_is_no_mistake(words: str) -> None:
    command = f"{sys.executable} -m potstill {words} >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment(), timeout=60)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
