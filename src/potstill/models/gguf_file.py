"""The tensors of a GGUF file, dequantised with the gguf library."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from potstill.devices import num_threads
from potstill.errors import DamagedError, ModelMissing
from potstill.gguf_header import TensorEntry, block_sizes, read_header

# The library makes several copies of what it is given. Those of larger parts are taken from the system and
# given back each time, and new memory costs more than the numbers that are written to it.
_PART_BYTES = 1 << 16


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
        return self._read(name, np.float32, _same_numbers)

    def read_bf16(self, name: str) -> np.ndarray:
        """The tensor rounded to bfloat16, its bits in uint16; all of it in float32 is never held."""
        return self._read(name, np.uint16, _bf16_bits)

    def _read(
        self, name: str, dtype: type[np.generic], rounded: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        entry = self._entry(name)
        block = self._blocks[entry.type_id]
        numbers = np.empty((entry.num_bytes // block.num_bytes, block.num_elements), dtype)
        blocks_at_once = _PART_BYTES // block.num_bytes

        def read_part(start: int) -> None:
            part = numbers[start : start + blocks_at_once]
            # Scales beyond all numbers are for those to refuse who use them. The setting is the thread's own.
            with np.errstate(all="ignore"):
                part[:] = rounded(self._dequantized(name, entry, start, len(part)))

        starts = range(0, len(numbers), blocks_at_once)
        if len(starts) == 1:
            read_part(0)
        else:
            with ThreadPoolExecutor(num_threads()) as pool:
                deque(pool.map(read_part, starts), maxlen=0)
        return numbers.reshape(entry.shape)

    def _dequantized(self, name: str, entry: TensorEntry, start: int, count: int) -> np.ndarray:
        """Some blocks of a tensor, float32 [count, elements of a block]."""
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize

        kind, block = GGMLQuantizationType(entry.type_id), self._blocks[entry.type_id]
        packed = self._bytes(name, entry.offset + start * block.num_bytes, count * block.num_bytes)
        try:
            numbers: np.ndarray = dequantize(packed.reshape(1, -1), kind).reshape(count, block.num_elements)
        except NotImplementedError:
            raise DamagedError(
                f"{self.path}: tensor {name!r} has type {kind.name}, which holds no numbers that can be "
                f"read. Use a file quantised another way, such as Q4_K_M, Q8_0 or F16."
            ) from None
        return numbers

    def _bytes(self, name: str, offset: int, count: int) -> np.ndarray:
        try:
            content = np.fromfile(self.path, np.uint8, count, offset=offset)
        except FileNotFoundError:
            raise ModelMissing(
                f"{self.path} was there and is gone. Put it back and run this again."
            ) from None
        if len(content) < count:
            raise DamagedError(f"{self.path} was cut short inside tensor {name!r}. Fetch it again.")
        return content

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise DamagedError(f"{self.path} has no tensor {name!r}. Fetch or convert it again.")
        return self._tensors[name]


def _same_numbers(numbers: np.ndarray) -> np.ndarray:
    return numbers


def _bf16_bits(numbers: np.ndarray) -> np.ndarray:
    """To the nearest, and to the even one of two that are as near; what is no number stays none."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(numbers), np.uint16(0x7FC0), rounded)
