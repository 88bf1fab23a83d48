"""Which examples each optimizer step sees: known before the first step, so that resuming needs no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from potstill.errors import ConfigError
from potstill.seeds import random_generator
from potstill.tasks.example import Example
from potstill.tasks.packing import plan_batches
from potstill.training.settings import TrainingSettings


class Step(NamedTuple):
    """One optimizer step: the examples of each batch, by index; tokens it runs; targets it predicts."""

    batches: tuple[tuple[int, ...], ...]
    num_tokens: int
    num_targets: int


@dataclass(frozen=True)
class Split:
    """Examples to train on, and others that are only ever looked at."""

    training: tuple[Example, ...]
    validation: tuple[Example, ...]


def split_examples(examples: Sequence[Example], settings: TrainingSettings) -> Split:
    """Set `validation_share` of the examples aside, at least one where the share is not 0."""
    share = settings.validation_share
    num_held_out = max(1, round(share * len(examples))) if share else 0
    if num_held_out >= len(examples):
        raise ConfigError(
            f"There are {len(examples)} examples, too few to set aside {num_held_out} for validation."
        )
    order = random_generator(settings.seed, "validation").permutation(len(examples)).tolist()
    held_out = set(order[:num_held_out])
    return Split(
        training=tuple(example for index, example in enumerate(examples) if index not in held_out),
        validation=tuple(examples[index] for index in sorted(held_out)),
    )


def plan_steps(examples: Sequence[Example], settings: TrainingSettings) -> list[Step]:
    """Every step of the run; batches follow on from epoch to epoch, so only the last step may be smaller."""
    num_tokens = [example.num_tokens for example in examples]
    wanted = None if settings.max_steps is None else settings.max_steps * settings.accumulation
    batches: list[tuple[int, ...]] = []
    epoch = 0
    while epoch < (settings.epochs or 1) if wanted is None else len(batches) < wanted:
        batches += plan_batches(num_tokens, settings.batch_tokens, settings.seed, epoch)
        epoch += 1
    batches = batches[:wanted]
    grouped = (
        batches[start : start + settings.accumulation]
        for start in range(0, len(batches), settings.accumulation)
    )
    return [_step(examples, group) for group in grouped]


def _step(examples: Sequence[Example], batches: Sequence[tuple[int, ...]]) -> Step:
    chosen = [examples[index] for batch in batches for index in batch]
    return Step(
        batches=tuple(batches),
        num_tokens=sum(example.num_tokens for example in chosen),
        num_targets=sum(len(example.target_ids) for example in chosen),
    )
