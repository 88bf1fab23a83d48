"""Rotary positions: turning pairs, stretched frequencies."""

import math

import pytest
import torch

from potstill.layers.rope import LinearScaling, Llama3Scaling, Rope, RopeSettings, matmul_dtype, rotate


def test_each_pair_turns_by_its_angle() -> None:
    x = torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(1))
    positions = torch.tensor([0, 5, 11])
    turned = rotate(x, Rope(RopeSettings(100.0), 6).rotation(positions, torch.float32))
    for token, position in enumerate(positions.tolist()):
        for pair in range(3):
            angle = position * 100.0 ** (-2 * pair / 6)
            before = complex(x[token, 1, pair], x[token, 1, pair + 3])
            after = before * complex(math.cos(angle), math.sin(angle))
            assert complex(turned[token, 1, pair], turned[token, 1, pair + 3]) == pytest.approx(
                after, abs=1e-5
            )


def test_a_score_depends_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 64, generator=torch.Generator().manual_seed(1))
    rope = Rope(RopeSettings(10_000.0), 64)

    def score(query_position: int, key_position: int) -> float:
        q_turned = rotate(q, rope.rotation(torch.tensor([query_position]), torch.float32))
        return float((q_turned * rotate(k, rope.rotation(torch.tensor([key_position]), torch.float32))).sum())

    assert score(107, 100) == pytest.approx(score(7, 0), abs=1e-4)


def test_linear_scaling_divides_positions() -> None:
    plain = Rope(RopeSettings(10_000.0), 16).rotation(torch.tensor([3]), torch.float32)
    stretched = Rope(RopeSettings(10_000.0, LinearScaling(4)), 16).rotation(torch.tensor([12]), torch.float32)
    torch.testing.assert_close(plain, stretched)


def test_llama3_scaling_keeps_fast_frequencies_and_divides_slow_ones() -> None:
    plain = RopeSettings(500_000.0).frequencies(64)
    stretched = RopeSettings(500_000.0, Llama3Scaling(8, 1, 4, 8192)).frequencies(64)
    turns = 8192 * plain / (2 * math.pi)
    assert torch.equal(stretched[turns > 4], plain[turns > 4])
    torch.testing.assert_close(stretched[turns < 1], plain[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.any()
    assert ((stretched <= plain) & (stretched >= plain / 8))[between].all()


def test_rotations_take_the_type_of_what_they_turn() -> None:
    x = torch.zeros(1, 4)
    assert matmul_dtype(x) is torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert matmul_dtype(x) is torch.bfloat16
