"""A stage: one step of a run, a pure function of its settings, its seed and what it needs.

Its output is a folder. The folder is kept through a kill, so a stage that works in chunks loses at most the
chunk in flight; every file that a finished stage leaves there is an output and is hashed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from potstill.progress import Progress


class Estimate(NamedTuple):
    """What a stage is expected to cost. Sizes in bytes; None where it cannot be said."""

    work: str
    tokens: int | None = None
    seconds: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True)
class StageContext:
    """What a running stage may touch.

    folder    where its output goes; it may hold what a killed process left
    inputs    the output folder of each stage it needs
    seed      its own seed, made from the run's seed and its name
    progress  where it tells how far it is
    record    keeps a figure (any JSON value) in the ledger; the same name again replaces it. Record what the
              files say once they are there: a chunk made by a killed process is not made again
    """

    folder: Path
    inputs: Mapping[str, Path]
    seed: int
    progress: Progress
    record: Callable[[str, Any], None]

    def chunk_path(self, index: int, suffix: str) -> Path:
        return self.folder / f"chunk-{index:05d}{suffix}"

    def chunk_paths(self, count: int, suffix: str) -> list[Path]:
        return [self.chunk_path(index, suffix) for index in range(count)]

    def chunks(self, count: int, suffix: str) -> list[tuple[int, Path]]:
        """(index, path) of each of `count` chunks that is not written yet.

        Write a chunk with `potstill.files`, so that it is there whole or not at all.
        """
        paths = enumerate(self.chunk_paths(count, suffix))
        return [(index, path) for index, path in paths if not path.exists()]


@dataclass(frozen=True)
class Stage:
    """One step.

    name      in lower case with underscores, once in a run
    version   raised when the code changes what comes out
    settings  all that the output depends on, plain values
    needs     the names of earlier stages whose output it reads
    run       does the work; called again from the start after a kill, with the same folder
    files     files and folders from outside the run that it reads; their content is part of the fingerprint
    publishes names in its output that the run's folder links to (`student`, `report.html`)
    estimate  says what it will cost, for `--dry-run`
    """

    name: str
    version: int
    settings: Mapping[str, Any]
    needs: tuple[str, ...]
    run: Callable[[StageContext], None]
    files: Sequence[Path] = ()
    publishes: tuple[str, ...] = ()
    estimate: Callable[[], Estimate] | None = field(default=None, compare=False)
