"""Root-mean-square normalisation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """x / rms(x) * (offset + weight) over the last axis, in float32.

    `offset` is 1 where a checkpoint holds the difference from one (Gemma), 0 elsewhere
    (Zhang and Sennrich 2019, arXiv:1910.07467, section 4).
    """

    def __init__(self, size: int, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.size, self.eps, self.offset = size, eps, offset
        self.weight = nn.Parameter(torch.full((size,), 1.0 - offset))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.float()
        if self.offset:
            weight = weight + self.offset
        return F.rms_norm(x.float(), (self.size,), weight, self.eps).to(x.dtype)
