"""The feed-forward block, gated or plain."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["silu", "gelu", "gelu_pytorch_tanh", "relu"]

# `gelu` is x times the normal distribution function (Hendrycks and Gimpel 2016, arXiv:1606.08415), of which
# GPT-2 and Gemma take the approximation by tanh.
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


class GatedMlp(nn.Module):
    """down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, size: int, inner_size: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size, inner_size, bias=bias)
        self.up_proj = nn.Linear(size, inner_size, bias=bias)
        self.down_proj = nn.Linear(inner_size, size, bias=bias)
        self._activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        down: Tensor = self.down_proj(self._activate(self.gate_proj(x)) * self.up_proj(x))
        return down
