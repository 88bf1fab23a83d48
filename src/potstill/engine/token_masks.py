"""What constraints allow, as bits a token, put on scores. The bits' order is that of `Constraint.allowed`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What is added to the scores of eight tokens, for each octet of their bits.
_OCTETS = np.arange(256, dtype=np.uint8)[:, None]
_ADDED = np.where(np.unpackbits(_OCTETS, axis=1, bitorder="little"), 0, -np.inf).astype(np.float32)


def forbid_others(scores: Tensor, row: int, allowed: NDArray[np.int32]) -> None:
    """Forbid what a mask does not allow in a row of `scores` [B, V], in place.

    Where the model gives none of what is allowed any chance, all of it gets the same: what a constraint says
    is written whatever the model thinks of it.
    """
    octets = allowed.astype("<i4", copy=False).view(np.uint8)
    added = torch.from_numpy(_ADDED.take(octets, axis=0).reshape(-1)[: scores.shape[1]])  # [V]
    scores[row] += added.to(scores.device)
    if scores[row].amax() == -torch.inf:
        scores[row] = added.to(scores)
