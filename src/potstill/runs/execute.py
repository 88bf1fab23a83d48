"""Run the stages that are missing, so that a kill at any moment loses at most the work in flight.

A stage is complete when its `complete.json` has been renamed into place; nothing else says so. The ledger
tells what happened and may lag behind by one row after a kill, never the other way round.
"""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from potstill.errors import DiskFull, UsageError
from potstill.files import write_text
from potstill.locks import locked
from potstill.meters import Measured, measuring
from potstill.progress import Progress
from potstill.runs.complete import check_complete, is_complete, mark_complete, unmark_complete
from potstill.runs.fingerprint import fingerprints, stage_folder
from potstill.runs.ledger import Ledger, StageOutcome
from potstill.runs.stage import Stage, StageContext
from potstill.seeds import derive_seed

LEDGER_NAME, RECIPE_NAME = "ledger.sqlite", "recipe.toml"


class Terminated(SystemExit):
    """SIGTERM arrived: everything is left resumable and the process ends with 143."""

    def __init__(self) -> None:
        super().__init__(143)


def execute(
    stages: Sequence[Stage],
    run_folder: Path,
    seed: int,
    progress: Progress,
    *,
    recipe: str = "",
    environment: Mapping[str, Any] | None = None,
    redo: str | None = None,
) -> dict[str, Path]:
    """The output folder of every stage, run or found complete.

    `recipe` is the recipe's text, kept in the run's folder so that `run resume` needs nothing else. The
    output of the stage called `redo` is thrown away first. Raises LockedError when another process works on
    the folder, and DamagedError naming the file where the output of a complete stage was changed.
    """
    with locked(run_folder), sigterm_raises(), Ledger.open(run_folder / LEDGER_NAME) as ledger:
        # First of all: where a file is missing, the recipe of what was made so far must stay.
        known = fingerprints(stages, seed)
        if recipe:
            _keep_recipe(run_folder, recipe)
        run_id = ledger.start_run(recipe, seed, environment or {})
        if redo is not None:
            _throw_away(known, redo, run_folder)
            ledger.event("redo", redo, run_id)
        if message := ledger.fallback_message():
            ledger.event("ledger", message, run_id)
        try:
            outputs = _run_missing(stages, known, run_folder, seed, progress, ledger, run_id)
        except BaseException as error:
            _try_to_end(ledger, run_id, error)
            raise
        ledger.end_run(run_id, "done")
        return outputs


def _run_missing(
    stages: Sequence[Stage],
    known: Mapping[str, str],
    run_folder: Path,
    seed: int,
    progress: Progress,
    ledger: Ledger,
    run_id: int,
) -> dict[str, Path]:
    outputs = dict[str, Path]()
    for stage in stages:
        outputs[stage.name] = folder = stage_folder(run_folder, stage.name, known[stage.name])
        if is_complete(folder):
            check_complete(folder, stage.name)
            ledger.note_complete(run_id, stage.name, known[stage.name])
        else:
            context = StageContext(
                folder=folder,
                inputs={need: outputs[need] for need in stage.needs},
                seed=derive_seed(seed, "stage", stage.name),
                progress=progress,
                record=partial(ledger.record, stage.name, known[stage.name]),
            )
            _run_stage(stage, known[stage.name], context, ledger, run_id)
        _publish(stage, folder, run_folder)
    _withdraw(stages, run_folder)
    return outputs


def _run_stage(stage: Stage, fingerprint: str, context: StageContext, ledger: Ledger, run_id: int) -> None:
    context.folder.mkdir(parents=True, exist_ok=True)
    stage_id = ledger.start_stage(run_id, stage.name, fingerprint)
    measured = Measured()
    try:
        with measuring() as measured:
            stage.run(context)
            mark_complete(context.folder, stage.name, fingerprint)
    except BaseException as error:
        with _second_errors_ignored():
            ledger.end_stage(stage_id, _outcome_of(error), measured)
        raise
    ledger.end_stage(stage_id, "done", measured)


def _throw_away(known: Mapping[str, str], name: str, run_folder: Path) -> None:
    if name not in known:
        raise UsageError(f"The run has no stage {name!r}; it has {', '.join(known)}.")
    folder = stage_folder(run_folder, name, known[name])
    # First what makes it complete, so that a kill half way leaves an unfinished stage and no damaged one.
    unmark_complete(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _publish(stage: Stage, folder: Path, run_folder: Path) -> None:
    """Link what the stage publishes into the run's folder; a link is replaced in one step."""
    for name in stage.publishes:
        link, target = run_folder / name, os.path.relpath(folder / name, run_folder)
        if link.is_symlink() and os.readlink(link) == target:
            continue
        fresh = run_folder / f".tmp-{name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        os.replace(fresh, link)


def _withdraw(stages: Sequence[Stage], run_folder: Path) -> None:
    """Remove the links to what only stages of earlier settings published; their outputs stay."""
    published = {name for stage in stages for name in stage.publishes}
    for link in run_folder.iterdir():
        is_ours = link.is_symlink() and Path(os.readlink(link)).parts[:1] == ("stages",)
        if is_ours and link.name not in published:
            link.unlink()


def _keep_recipe(run_folder: Path, recipe: str) -> None:
    path = run_folder / RECIPE_NAME
    if not path.exists() or path.read_bytes() != recipe.encode():
        write_text(path, recipe)


def _try_to_end(ledger: Ledger, run_id: int, error: BaseException) -> None:
    outcome = _outcome_of(error)
    with _second_errors_ignored():
        if outcome == "failed":
            ledger.event("error", f"{type(error).__name__}: {error}", run_id)
        ledger.end_run(run_id, outcome)


def _outcome_of(error: BaseException) -> StageOutcome:
    return "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"


@contextmanager
def _second_errors_ignored() -> Iterator[None]:
    """On a full disk the ledger cannot be told either; the first error is the one that counts."""
    with suppress(DiskFull, OSError):
        yield


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that files are closed and locks dropped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
