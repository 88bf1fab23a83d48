"""The packed weights of a program in a file, which the next start maps into memory instead of packing again.

A safetensors file; docs/formats/packed.md tells it byte for byte. Where such files are and whose weights they
hold is `models.compile_cache`'s to know.
"""

import json
import mmap
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import torch
from torch import Tensor

from potstill import _native
from potstill.errors import DamagedError
from potstill.models.program_weights import Part, WeightKind, matrix_name, vector_name
from potstill.models.safetensors_file import Header, read_header

# Another number where matrices are packed, or a builder puts together what it packs, in another way.
FORMAT = "potstill.packed/1"

_ALIGNMENT = 64


def write_kept(file: BinaryIO, key: str, parts: Iterable[Part]) -> None:
    """Matrices first, each of them a multiple of 64 bytes long, then vectors; both in their order."""
    ordered = sorted(parts, key=lambda part: not part.is_matrix)
    sums = " ".join(f"{_checksum(part.content):08x}" for part in ordered)
    table: dict[str, object] = {"__metadata__": {"format": FORMAT, "key": key, "crc32c": sums}}
    offset = 0
    for part in ordered:
        dtype, shape, end = (
            "U8" if part.is_matrix else "F32",
            part.content.shape,
            offset + part.content.nbytes,
        )
        table[part.name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    file.write(struct.pack("<Q", len(header)) + header)
    for part in ordered:
        file.write(part.content.data)


class KeptWeights:
    """The weights that a builder asks for, as views of the mapped file at `path`, all of it checked before.

    DamagedError where it is not the file that was written under `key`, or what is asked for is not there.
    """

    needs_values = False

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            header = self._read_header(file)
            self._check_about(header, key)
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._content = np.frombuffer(content, np.uint8)
        self._entries = header.entries
        self._check_sums(header)
        self._num_taken = 0

    def matrix(self, weights: Sequence[Tensor], kind: WeightKind) -> _native.PackedMatrix:
        rows, columns = sum(map(len, weights)), weights[0].shape[1]
        content = self._take(matrix_name(self._num_taken, rows, columns, kind), torch.uint8)
        try:
            return _native.PackedMatrix.kept(content, rows, columns, kind)
        except ValueError as error:
            self._fail(str(error))

    def vector(self, numbers: Tensor, *, plus: float = 0) -> Tensor:
        name = vector_name(self._num_taken)
        content = self._take(name, torch.float32)
        if self._entries[name].shape != tuple(numbers.shape):
            self._fail(f"{name} has another shape than the model's")
        return torch.from_numpy(content.view(np.float32).reshape(numbers.shape).copy())

    def check_all_taken(self) -> None:
        """DamagedError where a builder has left something."""
        if self._num_taken < len(self._entries):
            self._fail(f"it has {len(self._entries)} parts, and the model {self._num_taken}")

    def _take(self, name: str, dtype: torch.dtype) -> np.ndarray:
        entry = self._entries.get(name)
        if entry is None or entry.dtype != dtype:
            self._fail(f"it has no {name}")
        self._num_taken += 1
        return self._content[entry.offset : entry.offset + entry.num_bytes]

    def _read_header(self, file: BinaryIO) -> Header:
        try:
            return read_header(self.path, file)
        except DamagedError:
            # What that tells to do is for models that cannot be made again here.
            self._fail("its header is damaged, or it was cut short")

    def _check_about(self, header: Header, key: str) -> None:
        about = header.about
        if about.get("format") != FORMAT:
            self._fail(f"its format is {about.get('format')!r:.40}, not {FORMAT}")
        if about.get("key") != key:
            self._fail("it was made from other weights")

    def _check_sums(self, header: Header) -> None:
        sums = header.about.get("crc32c", "").split()
        if len(sums) != len(self._entries):
            self._fail("it has not a checksum for each part")
        for (name, entry), wanted in zip(self._entries.items(), sums, strict=True):
            content = self._content[entry.offset : entry.offset + entry.num_bytes]
            if f"{_native.crc32c(content):08x}" != wanted:
                self._fail(f"{name} is not what was written")

    def _fail(self, reason: str) -> NoReturn:
        raise DamagedError(f"{self.path} holds no packed weights for this model: {reason}.")


def _checksum(content: np.ndarray) -> int:
    return _native.crc32c(content.reshape(-1).view(np.uint8))
