"""How a neural model and an ∞-gram are weighed: P = λ P∞ + (1 - λ) P_neural, one λ where the ∞-gram is sure.

Liu et al. 2024, arXiv:2401.17377, section 5. A λ is tuned on the tokens it is for; their log-likelihood is
concave in it, so the best one is found exactly. What is known of a mixture is its perplexity: text drawn from
it is not better for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigError, UsageError
from potstill.lm.token_scores import TokenScores

# An ∞-gram gives 0 to what it has not seen: with all the weight, one new token would make a text impossible.
MOST_WEIGHT = 1 - 1e-6
# Every halving of the range is one pass over the tokens; after so many a float64 has no finer value.
_HALVINGS = 60
# A token the neural model rules out has an infinite ratio; beyond e^600 the slope would overflow.
_MOST_LOG_RATIO = 600.0


@dataclass(frozen=True, slots=True)
class Interpolation:
    """How much the ∞-gram counts.

    sparse     λ where its longest matching suffix has one continuation only, [0, 1)
    nonsparse  λ elsewhere, [0, 1)
    """

    sparse: float
    nonsparse: float

    def __post_init__(self) -> None:
        for name in ("sparse", "nonsparse"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"λ {name} is {getattr(self, name)}; it must be in [0, 1).")

    def weight(self, is_sparse: bool) -> float:
        return self.sparse if is_sparse else self.nonsparse

    def mixed_logprobs(self, scores: TokenScores) -> NDArray[np.float64]:
        """[T] log-probabilities of the mixture, in nats."""
        weights = np.where(scores.is_sparse, self.sparse, self.nonsparse)
        with np.errstate(divide="ignore"):
            infinigram = np.log(weights) + np.log(scores.infinigram_probs)
        mixed: NDArray[np.float64] = np.logaddexp(infinigram, np.log1p(-weights) + scores.neural_logprobs)
        return mixed


def tune(scores: Sequence[TokenScores]) -> Interpolation:
    """The two λ that make the text of `scores` likeliest; 0 for a kind of token that it does not hold.

    UsageError where there are no tokens at all.
    """
    whole = _whole(scores)
    return Interpolation(best_weight(whole, whole.is_sparse), best_weight(whole, ~whole.is_sparse))


def tune_one(scores: Sequence[TokenScores]) -> Interpolation:
    """The same λ for both kinds of token, to compare with."""
    whole = _whole(scores)
    weight = best_weight(whole, np.ones(whole.num_tokens, dtype=np.bool_))
    return Interpolation(weight, weight)


def best_weight(scores: TokenScores, among: NDArray[np.bool_]) -> float:
    """The λ in [0, MOST_WEIGHT] at which the tokens `among` [T] are likeliest together; 0 without any.

    Up to a constant their log-likelihood is the sum of log(1 + λ r) with r = P∞ / P_neural - 1. Its slope
    falls with λ, and the place where that crosses zero is closed in on by halves.
    """
    # A token that neither model allows is lost with every λ.
    can_be = among & ((scores.infinigram_probs > 0) | (scores.neural_logprobs > -np.inf))
    with np.errstate(divide="ignore"):
        log_ratio = np.log(scores.infinigram_probs[can_be]) - scores.neural_logprobs[can_be]
    gains = np.expm1(np.minimum(log_ratio, _MOST_LOG_RATIO))

    def slope(weight: float) -> float:
        return float((gains / (1 + weight * gains)).sum())

    if slope(0.0) <= 0:
        return 0.0
    if slope(MOST_WEIGHT) >= 0:
        return MOST_WEIGHT
    low, high = 0.0, MOST_WEIGHT
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def _whole(scores: Sequence[TokenScores]) -> TokenScores:
    if not any(one.num_tokens for one in scores):
        raise UsageError(
            "There are no tokens to tune λ on. Give a longer text, or one the index has not seen."
        )
    return TokenScores.join(scores)
