"""Thresholds on scores whose truth is planted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from potstill.synthesis.calibration import area_under_curve, learn_threshold, shuffle_targets
from potstill.types import TextPair

PAIRS = [TextPair(f"s{index}", f"t{index}") for index in range(200)]


@dataclass(frozen=True)
class Planted:
    """A critic that knows which pairs are true: those whose source and target carry one number."""

    score: Callable[[TextPair, bool], float]
    name: str = "planted"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return np.array([self.score(pair, pair.source[1:] == pair.target_text[1:]) for pair in pairs])


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def quadratic_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    wins = [float(p > n) + float(p == n) / 2 for p in positive for n in negative]
    return sum(wins) / len(wins)


def test_separable_scores_lose_only_the_quantile() -> None:
    critic = Planted(lambda pair, is_true: (10 + int(pair.source[1:]) / 200) if is_true else 0.0)
    threshold = learn_threshold(critic, PAIRS, 0.1, rng())
    true = critic.scores(PAIRS)
    assert threshold.auc == 1
    assert threshold.minimum == pytest.approx(np.quantile(true, 0.1))
    assert (true >= threshold.minimum).sum() == 180
    assert threshold.num_pairs == 200
    assert threshold.shuffled_quartiles == (0, 0, 0)


def test_inseparable_scores_let_hardly_anything_through() -> None:
    critic = Planted(lambda pair, is_true: float(int(pair.target_text[1:])))
    threshold = learn_threshold(critic, PAIRS, 0.1, rng())
    assert threshold.auc == pytest.approx(0.5, abs=0.01)
    assert (critic.scores(PAIRS) >= threshold.minimum).mean() <= 0.055
    assert threshold.minimum == pytest.approx(np.quantile(critic.scores(PAIRS), 0.95))


def test_overlapping_scores_take_the_stricter_of_both_levels() -> None:
    noise = np.random.default_rng(3).normal(size=400)
    critic = Planted(
        lambda pair, is_true: float(noise[int(pair.target_text[1:]) + 200 * is_true] + 2 * is_true)
    )
    threshold = learn_threshold(critic, PAIRS, 0.1, rng())
    true, shuffled = critic.scores(PAIRS), critic.scores(shuffle_targets(PAIRS, rng()))
    assert threshold.minimum == max(np.quantile(true, 0.1), np.quantile(shuffled, 0.95))
    assert 0.85 < threshold.auc < 0.99


def test_a_threshold_is_written_with_its_quartiles() -> None:
    critic = Planted(lambda pair, is_true: float(is_true))
    assert learn_threshold(critic, PAIRS, 0.1, rng()).to_record() == {
        "critic": "planted",
        "minimum": 1.0,
        "auc": 1.0,
        "num_pairs": 200,
        "true_quartiles": (1.0, 1.0, 1.0),
        "shuffled_quartiles": (0.0, 0.0, 0.0),
    }


def test_shuffling_keeps_sources_in_place_and_hands_each_target_round_once() -> None:
    mixed = shuffle_targets(PAIRS, rng())
    assert [pair.source for pair in mixed] == [pair.source for pair in PAIRS]
    assert sorted(pair.target_text for pair in mixed) == sorted(pair.target_text for pair in PAIRS)
    assert not set(mixed) & set(PAIRS)
    assert mixed == shuffle_targets(PAIRS, rng())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 1000))
def test_no_source_gets_a_target_of_its_own_while_there_is_another(sources: list[int], seed: int) -> None:
    pairs = [TextPair(f"s{source}", f"t{source}") for source in sources]
    mixed = shuffle_targets(pairs, np.random.default_rng(seed))
    if len(set(sources)) > 1:
        assert all(pair.source[1:] != pair.target_text[1:] for pair in mixed)
    assert len(mixed) == len(pairs)


# Few distinct values, so that ties are common.
scores = arrays.arrays(np.float64, st.integers(1, 40), elements=st.integers(-3, 3).map(float))


@given(scores, scores)
def test_area_under_curve_equals_its_quadratic_definition(positive: np.ndarray, negative: np.ndarray) -> None:
    assert area_under_curve(positive, negative) == pytest.approx(quadratic_auc(positive, negative))
