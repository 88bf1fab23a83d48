"""What a run is expected to cost, for `--dry-run`. The rates were measured by who made the stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from potstill.runs.complete import is_complete
from potstill.runs.fingerprint import fingerprints, stage_folder
from potstill.runs.stage import Estimate, Stage


class PlanRow(NamedTuple):
    """A stage, whether its output is there already, and what it costs otherwise."""

    stage: str
    is_done: bool
    estimate: Estimate


class PlanTotal(NamedTuple):
    """Seconds and tokens add up, disk too; memory is the largest, since stages run one after the other.

    None where no stage could say. A stage that cannot say counts as nothing, so totals are lower bounds.
    """

    tokens: int | None
    seconds: float | None
    memory_bytes: int | None
    disk_bytes: int | None


def plan(stages: Sequence[Stage], run_folder: Path, seed: int) -> list[PlanRow]:
    """A row for each stage in order; nothing is written. Stages that are complete are not estimated."""
    known, rows = fingerprints(stages, seed), []
    for stage in stages:
        is_done = is_complete(stage_folder(run_folder, stage.name, known[stage.name]))
        rows.append(PlanRow(stage.name, is_done, Estimate("done") if is_done else _estimate(stage)))
    return rows


def plan_total(rows: Sequence[PlanRow]) -> PlanTotal:
    left = [row.estimate for row in rows if not row.is_done]
    tokens = [row.tokens for row in left if row.tokens is not None]
    seconds = [row.seconds for row in left if row.seconds is not None]
    memory = [row.memory_bytes for row in left if row.memory_bytes is not None]
    disk = [row.disk_bytes for row in left if row.disk_bytes is not None]
    return PlanTotal(
        sum(tokens) if tokens else None,
        sum(seconds) if seconds else None,
        max(memory, default=None),
        sum(disk) if disk else None,
    )


def _estimate(stage: Stage) -> Estimate:
    return stage.estimate() if stage.estimate else Estimate("")
