"""Normalisation over the width: by the root mean square, and by mean and variance."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """x / rms(x) * (offset + weight) over the last axis, in float32 whatever the type of x.

    `offset` is 1 where a checkpoint holds the difference from one (Gemma), 0 elsewhere
    (Zhang and Sennrich 2019, arXiv:1910.07467, section 4).
    """

    def __init__(self, size: int, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.eps, self.offset = eps, offset
        self.weight = nn.Parameter(torch.full((size,), 1.0 - offset))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.float()
        if self.offset:
            weight = weight + self.offset
        normalised: Tensor = _Normalise.apply(x, weight, self.eps)  # type: ignore[no-untyped-call]
        return normalised


class _Normalise(torch.autograd.Function):
    """x * r * weight with r = 1 / sqrt(mean(x^2) + eps).

    torch takes its gradient apart into a dozen passes over memory; with the head norms that was a fifth of a
    training step. Here they are half as many, and x is kept in its own type instead of float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        exact = x.float()
        mean_square = torch.linalg.vector_norm(exact, dim=-1, keepdim=True).square_() / x.shape[-1]
        r = mean_square.add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, r)
        normalised: Tensor = (exact * r).mul_(weight)
        return normalised.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, r = ctx.saved_tensors
        normalised, exact = x.float() * r, gradient.float()
        product = exact * normalised
        of_weight = product.flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight, None
        share = torch.matmul(product, weight)[..., None].div_(-x.shape[-1])
        of_x = torch.addcmul(exact * weight, normalised, share).mul_(r)
        return of_x.to(x.dtype), of_weight, None


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, in float32 whatever x is.

    Ba, Kiros and Hinton 2016, arXiv:1607.06450, section 3.
    """

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        exact = F.layer_norm(x.float(), self.weight.shape, self.weight.float(), self.bias.float(), self.eps)
        return exact.to(x.dtype)
