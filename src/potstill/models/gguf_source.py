"""A GGUF file as a source of weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.models.gguf_file import GgufFile


class GgufSource:
    """The tensors of `file`, less those in `apart`, which are no parameters.

    dtype          of what will become of matrices; in bfloat16 they are read, all else in float32
    is_transposed  says of which names the matrices are to be turned round
    """

    def __init__(
        self,
        file: GgufFile,
        *,
        dtype: torch.dtype,
        apart: frozenset[str],
        is_transposed: Callable[[str], bool],
    ) -> None:
        self._file, self._apart, self._is_transposed = file, apart, is_transposed
        self._rounds = dtype == torch.bfloat16

    @property
    def path(self) -> Path:
        return self._file.path

    def names(self) -> list[str]:
        return [name for name in self._file.tensor_names() if name not in self._apart]

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._file.shape(name)
        return shape[::-1] if self._is_transposed(name) else shape

    def read(self, name: str) -> Tensor:
        if self._rounds and len(self._file.shape(name)) > 1:
            tensor = torch.from_numpy(self._file.read_bf16(name).view(np.int16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(self._file.read(name))
        return tensor.T.contiguous() if self._is_transposed(name) else tensor
