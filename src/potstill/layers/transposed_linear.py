"""A linear layer whose weight lies the other way round on the disk."""

import torch
from torch import Tensor, nn

from potstill.layers.initial import drawn


class TransposedLinear(nn.Module):
    """x W + b with W [in, out], as GPT-2's checkpoints keep it."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = drawn(in_features, out_features)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in] to [N, out]."""
        return torch.addmm(self.bias, x, self.weight)
