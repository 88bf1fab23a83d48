"""Thresholds learnt on true against shuffled pairs.

True are candidates that passed every filter that needs no model; shuffled are the same targets handed round
to other sources. No label is involved, and most true pairs are true only roughly: so a threshold lets at most
a stated share of them go, and is never below what nearly all shuffled pairs stay under.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from potstill.types import Critic, TextPair

# A threshold under this share of the shuffled scores would let unrelated pairs through.
_SHUFFLED_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Threshold:
    """`auc` is the chance that a true pair scores above a shuffled one; the quartiles are at 25, 50, 75%."""

    critic: str
    minimum: float
    auc: float
    num_pairs: int
    true_quartiles: tuple[float, ...]
    shuffled_quartiles: tuple[float, ...]

    def to_record(self) -> dict[str, Any]:
        return asdict(self)


def learn_threshold(
    critic: Critic, pairs: Sequence[TextPair], quantile: float, rng: np.random.Generator
) -> Threshold:
    """The minimum for `critic` that loses at most `quantile` of the true pairs, if shuffled ones allow it.

    There must be pairs; two dozen and more say something.
    """
    assert pairs, f"{critic.name} has no pairs to learn a threshold from"
    true = critic.scores(pairs)
    shuffled = critic.scores(shuffle_targets(pairs, rng))
    minimum = max(float(np.quantile(true, quantile)), float(np.quantile(shuffled, _SHUFFLED_LEVEL)))
    return Threshold(
        critic=critic.name,
        minimum=minimum,
        auc=area_under_curve(true, shuffled),
        num_pairs=len(pairs),
        true_quartiles=_quartiles(true),
        shuffled_quartiles=_quartiles(shuffled),
    )


def shuffle_targets(pairs: Sequence[TextPair], rng: np.random.Generator) -> list[TextPair]:
    """Each source with the target of another pair, one whose source differs, where there is one."""
    order = rng.permutation(len(pairs))
    stranger = dict(zip(order, np.roll(order, 1), strict=True))
    mixed = []
    for own, pair in enumerate(pairs):
        others = (pairs[(stranger[own] + step) % len(pairs)] for step in range(len(pairs)))
        chosen = next((other for other in others if other.source != pair.source), pairs[stranger[own]])
        mixed.append(TextPair(pair.source, chosen.target_text))
    return mixed


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a random positive exceeds a random negative, ties counted half (Mann-Whitney)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


def _quartiles(scores: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(scores, (0.25, 0.5, 0.75)))
