"""The tensors of a GGUF file, dequantised with the gguf library."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import DamagedError, ModelMissing
from potstill.gguf_header import TensorEntry, block_sizes, read_header

# The library makes several copies of what it is given: small parts keep them in the cache.
_PART_BYTES = 1 << 18


class GgufFile:
    """`metadata` and tensors of the file at `path`; DamagedError if it cannot be what it says.

    Names are the file's own (`blk.0.attn_q.weight`). A shape is rows first, as in PyTorch. The vocabulary's
    lists are left out of `metadata`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        header = read_header(path, vocabulary=False)
        self.metadata: Mapping[str, Any] = header.metadata
        self._tensors = header.tensors
        self._blocks = block_sizes()

    def tensor_names(self) -> list[str]:
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entry(name).shape

    def read(self, name: str) -> np.ndarray:
        """The tensor in float32."""
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize

        entry = self._entry(name)
        kind, block = GGMLQuantizationType(entry.type_id), self._blocks[entry.type_id]
        packed = self._packed_blocks(name, entry)
        numbers = np.empty((len(packed), block.num_elements), np.float32)
        blocks_at_once = _PART_BYTES // block.num_bytes
        for start in range(0, len(packed), blocks_at_once):
            part = slice(start, start + blocks_at_once)
            try:
                numbers[part] = dequantize(packed[part].reshape(1, -1), kind).reshape(-1, block.num_elements)
            except NotImplementedError:
                raise DamagedError(
                    f"{self.path}: tensor {name!r} has type {kind.name}, which holds no numbers that can be "
                    f"read. Use a file quantised another way, such as Q4_K_M, Q8_0 or F16."
                ) from None
        return numbers.reshape(entry.shape)

    def _packed_blocks(self, name: str, entry: TensorEntry) -> np.ndarray:
        """The tensor's bytes, [blocks, bytes of a block]."""
        try:
            content = np.fromfile(self.path, np.uint8, entry.num_bytes, offset=entry.offset)
        except FileNotFoundError:
            raise ModelMissing(
                f"{self.path} was there and is gone. Put it back and run this again."
            ) from None
        if len(content) < entry.num_bytes:
            raise DamagedError(f"{self.path} was cut short inside tensor {name!r}. Fetch it again.")
        return content.reshape(-1, self._blocks[entry.type_id].num_bytes)

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise DamagedError(f"{self.path} has no tensor {name!r}. Fetch or convert it again.")
        return self._tensors[name]
