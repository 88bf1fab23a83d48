"""How near the logits of a system are to a reference's, at every position of one text. NumPy only."""

from collections.abc import Iterable

import numpy as np


def closeness(logits: Iterable[np.ndarray], reference: np.ndarray) -> dict[str, float]:
    """Share of positions with the reference's likeliest token, and mean KL(reference to these) in nats.

    logits N rows [V], raw; reference [N, V] log-probabilities.
    """
    agreed, divergences = 0, []
    for row, wanted in zip(logits, reference, strict=True):
        own, known = logprobs(row), wanted.astype(np.float64)
        agreed += int(own.argmax() == known.argmax())
        divergences.append(float((np.exp(known) * (known - own)).sum()))
    return {
        "positions": len(divergences),
        "top1_agreement": agreed / len(divergences),
        "mean_kl": float(np.mean(divergences)),
    }


def logprobs(row: np.ndarray) -> np.ndarray:
    own = row.astype(np.float64)
    own -= own.max()
    own -= np.log(np.exp(own).sum())
    return own
