"""Rotary position embeddings: the angle of each token and the turn of queries and keys.

Heads are laid out in two halves, as in most Hugging Face checkpoints: number i of the first half turns with
number i of the second. GPT-J's heads interleave them, which `in_halves` undoes; so do GGUF files of the Llama
family, which `models.gguf_weights` undoes.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class RopeScaling(Protocol):
    """How a model was stretched beyond the length it was first trained on."""

    def scale(self, frequencies: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class LinearScaling:
    """Every position divided by `factor` (Chen et al. 2023, arXiv:2306.15595, section 2)."""

    factor: float

    def scale(self, frequencies: Tensor) -> Tensor:
        return frequencies / self.factor


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow frequencies divided by `factor`, fast ones kept, those between blended.

    A frequency is slow if it turns less than `low_freq_factor` times within `original_positions`, fast if
    more than `high_freq_factor` times (Llama 3.1; transformers 5, modeling_rope_utils).
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int

    def scale(self, frequencies: Tensor) -> Tensor:
        turns = self.original_positions * frequencies / (2 * math.pi)
        kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        kept = kept.clamp(0, 1)
        return (1 - kept) * frequencies / self.factor + kept * frequencies


@dataclass(frozen=True)
class RopeSettings:
    """`theta` > 0 is the base of the geometric series of frequencies."""

    theta: float
    scaling: LinearScaling | Llama3Scaling | None = None

    def frequencies(self, rotary_dim: int) -> Tensor:
        """Radians per position of `rotary_dim` numbers, [R / 2] in float32 on the CPU."""
        exponents = torch.arange(0, rotary_dim, 2, dtype=torch.float32, device="cpu") / rotary_dim
        frequencies = 1.0 / self.theta**exponents
        return frequencies if self.scaling is None else self.scaling.scale(frequencies)


class Rotation(NamedTuple):
    """Cosines and sines of N tokens, [N, 1, R]; the first half of `sin` is negated, as a turn needs it.

    R numbers of each head turn, at most all D.
    """

    cos: Tensor
    sin: Tensor


class Rope:
    """The rotation of positions, computed once a forward pass and shared by all layers of the same base.

    Not a module: frequencies stay float32 whatever the weights are cast to.
    """

    def __init__(self, settings: RopeSettings, rotary_dim: int) -> None:
        self._frequencies = settings.frequencies(rotary_dim)

    def rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation:
        """positions [N] int64."""
        if self._frequencies.device != positions.device:
            self._frequencies = self._frequencies.to(positions.device)
        angles = positions[:, None].float() * self._frequencies  # [N, R / 2]
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return Rotation(torch.cat((cos, cos), -1)[:, None], torch.cat((-sin, sin), -1)[:, None])


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """x [N, H, D], its first R numbers turned by the angles of its tokens.

    Su et al. 2021, arXiv:2104.09864, section 3.4.2.
    """
    R = rotation.cos.shape[-1]
    if x.shape[-1] > R:
        return torch.cat((rotate(x[..., :R], rotation), x[..., R:]), -1)
    swapped = torch.cat((x[..., R // 2 :], x[..., : R // 2]), -1)
    return torch.addcmul(x * rotation.cos, swapped, rotation.sin)


def in_halves(x: Tensor, rotary_dim: int) -> Tensor:
    """x [..., D] with its first `rotary_dim` numbers, which turn in neighbouring pairs, in two halves.

    The order of a head's numbers is nobody's business as long as queries and keys have the same.
    """
    pairs = x[..., :rotary_dim].reshape(*x.shape[:-1], -1, 2)
    return torch.cat((pairs[..., 0], pairs[..., 1], x[..., rotary_dim:]), -1)


def matmul_dtype(hidden: Tensor) -> torch.dtype:
    """The type that a linear layer gives for `hidden`: autocast's where it is on."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
