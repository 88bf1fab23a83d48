"""The learning rate of each step, as a share of its full value."""

import math
from collections.abc import Callable

from potstill.training.settings import ScheduleName

# Share of the full rate after a share `done` in [0, 1) of the steps that follow the warm-up.
_AFTER_WARMUP: dict[ScheduleName, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


def rate_share(schedule: ScheduleName, step: int, num_steps: int, warmup_steps: int) -> float:
    """Share in (0, 1] of the full learning rate at `step`, counted from 0, of `num_steps`.

    It rises in equal parts to 1 at the last of `warmup_steps`, then follows `schedule`, which would reach
    its end value at step `num_steps`: no step is wasted on a rate of 0.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return _AFTER_WARMUP[schedule]((step - warmup_steps) / (num_steps - warmup_steps))


def warmup_steps_of(warmup_share: float, num_steps: int) -> int:
    """The whole number of steps nearest to the share, and less than all of them."""
    return min(round(warmup_share * num_steps), num_steps - 1)
