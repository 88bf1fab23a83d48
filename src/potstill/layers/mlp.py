"""The gated feed-forward block."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["silu", "gelu_pytorch_tanh"]

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}


class GatedMlp(nn.Module):
    """down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, size: int, inner_size: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size, inner_size, bias=bias)
        self.up_proj = nn.Linear(size, inner_size, bias=bias)
        self.down_proj = nn.Linear(inner_size, size, bias=bias)
        self._activate = _FUNCTIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        down: Tensor = self.down_proj(self._activate(self.gate_proj(x)) * self.up_proj(x))
        return down
