"""Distributions that give some tokens what is believed of them, and share the rest evenly among all."""

from collections.abc import Mapping

import numpy as np

# Log-probabilities are float32: what is even may be told a little above 1 / V.
_ROUNDING = 1e-4


def even_but_for(vocab_size: int, beliefs: Mapping[int, float]) -> np.ndarray:
    """[V] float32 log-probabilities; `beliefs`, whose sum is below 1, go to their tokens."""
    probs = np.full(vocab_size, prob_of(0.0, sum(beliefs.values()), vocab_size))
    for token_id, belief in beliefs.items():
        probs[token_id] += belief
    logprobs: np.ndarray = np.log(probs).astype(np.float32)
    return logprobs


def prob_of(belief: float, believed: float, vocab_size: int) -> float:
    """What a token has that is believed in so much, where all that is believed sums to `believed`."""
    return belief + (1 - believed) / vocab_size


def is_favourite(prob: float, vocab_size: int) -> bool:
    """Whether a token with the highest probability there is stands out among all."""
    return prob * vocab_size > 1 + _ROUNDING
