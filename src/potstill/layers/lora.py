"""A linear layer with a low-rank addition: y = W x + scaling * B A x."""

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from potstill.layers.transposed_linear import TransposedLinear


class LoraLinear(nn.Module):
    """A frozen linear layer and what is learnt beside it (Hu et al. 2021, arXiv:2106.09685, section 4.1).

    Takes over the parameters of `base` under the same names, so paths in checkpoints do not change.
    A [rank, in], B [out, rank]; B starts at zero, so the layer starts as `base`. `dropout` is the share of
    the addition's inputs dropped while training, drawn from torch's own generator. `is_transposed` says that
    the weight is kept [in, out] (PEFT's fan_in_fan_out).
    """

    def __init__(
        self,
        base: nn.Linear | TransposedLinear,
        *,
        rank: int,
        alpha: float,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.is_transposed = isinstance(base, TransposedLinear)
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
        y = F.linear(x, self.weight.T if self.is_transposed else self.weight, self.bias)
        inner = F.linear(F.dropout(x, self.dropout, self.training).to(self.lora_A.dtype), self.lora_A)
        return y + (F.linear(inner, self.lora_B) * self.scaling).to(y.dtype)

    def addition(self) -> Tensor:
        """What the weight would have to grow by, [out, in] in float32."""
        return self.scaling * (self.lora_B.float() @ self.lora_A.float())

    def merged_weight(self) -> Tensor:
        """What a plain layer would have to weigh to compute the same, [out, in] in float32."""
        weight = self.weight.T if self.is_transposed else self.weight
        return weight.float() + self.addition()

    def without(self) -> nn.Linear | TransposedLinear:
        """The layer as it was."""
        layer: nn.Linear | TransposedLinear
        with torch.device("meta"):
            if self.is_transposed:
                layer = TransposedLinear(*self.weight.shape)
            else:
                layer = nn.Linear(self.weight.shape[1], self.weight.shape[0], bias=self.bias is not None)
        layer.weight, layer.bias = self.weight, self.bias
        return layer.train(self.training)

    @torch.no_grad()
    def merged(self) -> nn.Linear | TransposedLinear:
        """A plain layer that computes the same; the weight is changed in place."""
        self.weight.copy_(self.merged_weight().T if self.is_transposed else self.merged_weight())
        return self.without()

    @torch.no_grad()
    def load(self, first: Tensor, second: Tensor) -> Self:
        """Overwrite A and B."""
        self.lora_A.copy_(first)
        self.lora_B.copy_(second)
        return self
