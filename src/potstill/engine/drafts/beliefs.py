"""How likely what followed a match follows it again; what is not believed of any token all share evenly."""

from collections.abc import Mapping

import numpy as np

# Places that are missing where one token matches; measured as docs/speculation.md tells.
_DOUBT = 0.5
# Log-probabilities are float32: what is even may be told a little above 1 / V.
_ROUNDING = 1e-4


def belief(count: int, total: int, length: int) -> float:
    """Of a token that followed `count` of the `total` places where the last `length` >= 1 tokens stand.

    Its share, less where places are few and matches short.
    """
    return count / (total + _DOUBT / length)


def even_but_for(vocab_size: int, beliefs: Mapping[int, float]) -> np.ndarray:
    """[V] float32 log-probabilities; `beliefs`, whose sum is below 1, go to their tokens."""
    probs = np.full(vocab_size, prob_of(0.0, sum(beliefs.values()), vocab_size))
    for token_id, share in beliefs.items():
        probs[token_id] += share
    logprobs: np.ndarray = np.log(probs).astype(np.float32)
    return logprobs


def prob_of(share: float, believed: float, vocab_size: int) -> float:
    """The probability of a token that has this share of all that is `believed`."""
    return share + (1 - believed) / vocab_size


def is_favourite(prob: float, vocab_size: int) -> bool:
    """Whether a token with the highest probability there is stands out among all."""
    return prob * vocab_size > 1 + _ROUNDING
