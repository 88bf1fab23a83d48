"""Schedules against their closed forms."""

import math

import pytest

from potstill.training.schedules import rate_share, warmup_steps_of


def shares(schedule: str, num_steps: int, warmup_steps: int) -> list[float]:
    return [rate_share(schedule, step, num_steps, warmup_steps) for step in range(num_steps)]


def test_warm_up_rises_in_equal_parts_to_the_full_rate():
    assert shares("constant", 8, 4) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_linear_falls_to_one_part_before_zero():
    assert shares("linear", 6, 2) == [0.5, 1, 1, 0.75, 0.5, 0.25]


def test_cosine_is_half_a_wave():
    wanted = [(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)]
    assert shares("cosine", 5, 0) == pytest.approx(wanted)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_no_step_has_a_rate_of_zero(schedule, num_steps):
    warmup_steps = warmup_steps_of(0.99, num_steps)
    assert warmup_steps < num_steps
    assert all(0 < share <= 1 for share in shares(schedule, num_steps, warmup_steps))
