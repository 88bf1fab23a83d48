"""What a native program holds of a model: packed matrices and short vectors, in the order of its builder.

A builder asks for each of them by the parameters it is made from. `Packing` makes them; where they were kept
on the disk (`models.kept_weights`), the parameters only say which shapes are expected.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch  # before the kernels, so that both share one pool of threads
from torch import Tensor

from potstill import _native
from potstill.errors import DamagedError

WeightKind = Literal["fp32", "bf16", "int8"]


class ProgramWeights(Protocol):
    """DamagedError where there is nothing that fits what is asked for."""

    @property
    def needs_values(self) -> bool:
        """Whether parameters must hold numbers; those on torch's meta device have a shape only."""
        ...

    def matrix(self, weights: Sequence[Tensor], kind: WeightKind) -> _native.PackedMatrix:
        """Weights [out, in] packed as one matrix of all their outputs."""
        ...

    def vector(self, numbers: Tensor, *, plus: float = 0) -> Tensor:
        """A norm's weight, a bias or a table of biases, and `plus`, in float32 on the CPU."""
        ...


class Part(NamedTuple):
    """A matrix or vector in memory; `name` tells its place among all and its shape."""

    name: str
    content: np.ndarray  # uint8, or float32 of a vector

    @property
    def is_matrix(self) -> bool:
        return self.content.dtype == np.uint8


def matrix_name(place: int, rows: int, columns: int, kind: str) -> str:
    return f"{place}.{rows}x{columns}.{kind}"


def vector_name(place: int) -> str:
    return f"{place}.vector"


class Packing:
    """Packs what it is given; `parts` are views of all that it made."""

    needs_values = True

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def matrix(self, weights: Sequence[Tensor], kind: WeightKind) -> _native.PackedMatrix:
        joined = (weights[0] if len(weights) == 1 else torch.cat(list(weights))).detach()
        if joined.dtype != torch.bfloat16:
            joined = joined.float()
        try:
            packed = _native.PackedMatrix(joined.contiguous(), kind)
        except ValueError as error:
            raise DamagedError(f"The model's weights cannot be packed: {error}.") from None
        name = matrix_name(len(self.parts), packed.rows, packed.columns, packed.kind)
        self.parts.append(Part(name, packed.content()))
        return packed

    def vector(self, numbers: Tensor, *, plus: float = 0) -> Tensor:
        whole = numbers.detach().float().contiguous() + plus
        self.parts.append(Part(vector_name(len(self.parts)), whole.numpy()))
        return whole
