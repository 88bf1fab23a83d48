"""A linear layer with a low-rank addition: y = W x + scaling * B A x."""

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LoraLinear(nn.Module):
    """A frozen linear layer and what is learnt beside it (Hu et al. 2021, arXiv:2106.09685, section 4.1).

    Takes over the parameters of `base` under the same names, so paths in checkpoints do not change.
    A [rank, in], B [out, rank]; B starts at zero, so the layer starts as `base`. `dropout` is the share of
    the addition's inputs dropped while training, drawn from torch's own generator.
    """

    def __init__(
        self, base: nn.Linear, *, rank: int, alpha: float, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.rank, self.alpha, self.dropout = rank, alpha, dropout
        self.weight, self.bias = base.weight, base.bias
        # Uniform as torch initialises a linear layer of its own, in float32: steps are small beside weights.
        limit = 1 / math.sqrt(base.in_features)
        first = torch.empty(rank, base.in_features).uniform_(-limit, limit, generator=generator)
        self.lora_A = nn.Parameter(first.to(self.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank, device=self.weight.device))

    @property
    def scaling(self) -> float:
        return self.alpha / self.rank

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in] to [N, out]."""
        y = F.linear(x, self.weight, self.bias)
        inner = F.linear(F.dropout(x, self.dropout, self.training).to(self.lora_A.dtype), self.lora_A)
        return y + (F.linear(inner, self.lora_B) * self.scaling).to(y.dtype)

    def addition(self) -> Tensor:
        """What the weight would have to grow by, [out, in] in float32."""
        return self.scaling * (self.lora_B.float() @ self.lora_A.float())

    def without(self) -> nn.Linear:
        """The layer as it was."""
        out_features, in_features = self.weight.shape
        with torch.device("meta"):
            linear = nn.Linear(in_features, out_features, bias=self.bias is not None)
        linear.weight, linear.bias = self.weight, self.bias
        return linear.train(self.training)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer that computes the same; the weight is changed in place."""
        self.weight.copy_(self.weight.float() + self.addition())
        return self.without()

    @torch.no_grad()
    def load(self, first: Tensor, second: Tensor) -> Self:
        """Overwrite A and B."""
        self.lora_A.copy_(first)
        self.lora_B.copy_(second)
        return self
