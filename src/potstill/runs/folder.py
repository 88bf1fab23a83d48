"""The folders runs are kept in: finding one, looking at all of them, removing one."""

import difflib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import MissingError, PotstillError
from potstill.locks import locked
from potstill.runs.execute import LEDGER_NAME, RECIPE_NAME
from potstill.runs.ledger import Ledger, RunRecord, StageRecord


@dataclass(frozen=True)
class RunSummary:
    """A run at a glance. `outcome` is done, running, interrupted, failed, new or damaged."""

    name: str
    folder: Path
    outcome: str
    started: str | None
    seconds: float
    peak_bytes: int
    disk_bytes: int


def find_run(name: str, runs_folder: Path) -> Path:
    """The folder of a run given by path or by name; MissingError names the nearest one."""
    for folder in (Path(name), runs_folder / name):
        if is_run(folder):
            return folder
    known = [folder.name for folder in run_folders(runs_folder)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(known)}." if known else ""
    raise MissingError(f"There is no run {name!r}, neither as a folder nor in {runs_folder}.{hint}")


def is_run(folder: Path) -> bool:
    return (folder / LEDGER_NAME).is_file() or (folder / RECIPE_NAME).is_file()


def run_folders(runs_folder: Path) -> Iterator[Path]:
    if runs_folder.is_dir():
        yield from (folder for folder in sorted(runs_folder.iterdir()) if is_run(folder))


def summarize(folder: Path) -> RunSummary:
    runs, stages, outcome = list[RunRecord](), list[StageRecord](), "new"
    try:
        if (folder / LEDGER_NAME).is_file():
            with Ledger.read(folder / LEDGER_NAME) as ledger:
                runs, stages = ledger.runs(), ledger.stages()
    except PotstillError:
        # One damaged run must not hide the others; `run show` tells what is wrong with it.
        outcome = "damaged"
    if runs:
        outcome = runs[-1].outcome
    if outcome == "running" and not _holder_lives(folder):
        outcome = "interrupted"
    return RunSummary(
        name=folder.resolve().name,
        folder=folder,
        outcome=outcome,
        started=runs[0].started if runs else None,
        seconds=sum(stage.seconds or 0 for stage in stages),
        peak_bytes=max((stage.peak_bytes or 0 for stage in stages), default=0),
        disk_bytes=disk_bytes(folder),
    )


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def remove_run(folder: Path) -> None:
    """Delete a run that nobody works on. It leaves its place in one step, so a kill leaves no half run."""
    if not is_run(folder):
        raise MissingError(f"{folder} is not a run.")
    folder = folder.resolve()
    grave = folder.with_name(f".tmp-removed-{folder.name}")
    with locked(folder):
        shutil.rmtree(grave, ignore_errors=True)
        os.replace(folder, grave)
    shutil.rmtree(grave)


def _holder_lives(folder: Path) -> bool:
    """Whether the process that last held the lock is there; for display, the lock itself decides."""
    try:
        os.kill(int((folder / ".lock").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
