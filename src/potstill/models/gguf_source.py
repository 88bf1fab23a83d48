"""A GGUF file as a source of weights."""

from pathlib import Path

import torch
from torch import Tensor

from potstill.models.gguf_file import GgufFile


class GgufSource:
    """The tensors of `file` in float32, less those in `apart`, which are no parameters."""

    def __init__(self, file: GgufFile, apart: frozenset[str] = frozenset()) -> None:
        self._file, self._apart = file, apart

    @property
    def path(self) -> Path:
        return self._file.path

    def names(self) -> list[str]:
        return [name for name in self._file.tensor_names() if name not in self._apart]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file.shape(name)

    def read(self, name: str) -> Tensor:
        return torch.from_numpy(self._file.read(name))
