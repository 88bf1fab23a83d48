"""A GGUF file as a source of weights."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from potstill.models.gguf_file import GgufFile


class GgufSource:
    """The tensors of `file` in float32, less those in `apart`, which are no parameters.

    `is_transposed` says of which names the matrices are to be turned round.
    """

    def __init__(
        self, file: GgufFile, *, apart: frozenset[str], is_transposed: Callable[[str], bool]
    ) -> None:
        self._file, self._apart, self._is_transposed = file, apart, is_transposed

    @property
    def path(self) -> Path:
        return self._file.path

    def names(self) -> list[str]:
        return [name for name in self._file.tensor_names() if name not in self._apart]

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._file.shape(name)
        return shape[::-1] if self._is_transposed(name) else shape

    def read(self, name: str) -> Tensor:
        tensor = torch.from_numpy(self._file.read(name))
        return tensor.T.contiguous() if self._is_transposed(name) else tensor
