"""What constraints allow, as bits a token, put on scores. The bits' order is that of `Constraint.allowed`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def forbid_others(scores: Tensor, row: int, allowed: NDArray[np.int32]) -> None:
    """Forbid what a mask does not allow in a row of `scores` [B, V], in place.

    Where the model gives none of what is allowed any chance, all of it gets the same: what a constraint says
    is written whatever the model thinks of it.
    """
    forbidden = torch.from_numpy(_forbidden(allowed, scores.shape[1])).to(scores.device)
    scores[row].masked_fill_(forbidden, -torch.inf)
    if scores[row].amax() == -torch.inf:
        scores[row].masked_fill_(~forbidden, 0.0)


def _forbidden(allowed: NDArray[np.int32], vocab_size: int) -> NDArray[np.bool_]:
    """[V], true where a token's bit is not set."""
    octets = np.invert(allowed).astype("<i4", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=vocab_size, bitorder="little").view(np.bool_)
