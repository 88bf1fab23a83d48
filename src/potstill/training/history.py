"""What happened at each step: one JSON line a step and one an evaluation.

No times stand in it, so that equal runs leave equal logs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from potstill.errors import DamagedError, PotstillError
from potstill.journal import Journal

_FILE = "loss.jsonl"


class StepRecord(NamedTuple):
    """An optimizer step, counted from 1. `loss` is the mean over its targets, in nats, before the step."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    num_tokens: int
    num_targets: int


class Evaluation(NamedTuple):
    """What an evaluator found after `step` steps."""

    step: int
    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class TrainingResult:
    """What a training did; the decoder itself holds the weights.

    steps         every optimizer step in order
    evaluations   in order; those named `validation` hold the `loss` on the examples set aside
    kept_step     the step whose weights the decoder holds
    num_tokens    positions run, num_targets of them predicted a target
    seconds       of work, that of interrupted processes up to their last checkpoint included
    resumed_from  the step this process began after; 0 for a fresh start
    """

    steps: tuple[StepRecord, ...]
    evaluations: tuple[Evaluation, ...]
    kept_step: int
    num_tokens: int
    num_targets: int
    seconds: float
    resumed_from: int


class LossLog:
    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._journal = Journal(self._path)
        self.num_records = 0

    def rewind(self, num_records: int) -> None:
        """Drop what followed the first `num_records`: those steps will be taken again."""
        found = sum(1 for _ in self._journal.records())
        if found < num_records:
            raise DamagedError(
                f"{self._path} has {found} records and its checkpoint counted {num_records}. "
                f"Remove {self._path.parent} to start again."
            )
        if self._path.exists():
            self._journal.keep(num_records)
        self.num_records = num_records

    def add_step(self, record: StepRecord) -> None:
        self._append(record._asdict())

    def add_evaluation(self, evaluation: Evaluation) -> None:
        for figure, value in evaluation.figures.items():
            if not math.isfinite(value):
                raise PotstillError(
                    f"The evaluator {evaluation.name} gave {figure} = {value} after step {evaluation.step}."
                )
        self._append(
            {"step": evaluation.step, "evaluation": evaluation.name, "figures": dict(evaluation.figures)}
        )

    def steps(self) -> tuple[StepRecord, ...]:
        return tuple(StepRecord(**record) for record in self._journal.records() if "loss" in record)

    def evaluations(self) -> tuple[Evaluation, ...]:
        return tuple(
            Evaluation(record["step"], record["evaluation"], record["figures"])
            for record in self._journal.records()
            if "evaluation" in record
        )

    def _append(self, record: Mapping[str, object]) -> None:
        self._journal.append(record)
        self.num_records += 1
