"""The header of a GGUF file: metadata and where each tensor lies, checked before it is believed.

The file may come from anyone, so a count or length is compared with the bytes that are left before anything
of that size is made. Reads version 2 and 3, little-endian. Does not read tensors: `models/gguf_file` does.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from potstill.errors import DamagedError, ModelMissing

MAX_HEADER_BYTES = 128 << 20
MAX_METADATA_KEYS = 1 << 14
MAX_TENSORS = 1 << 16
MAX_ARRAY_ELEMENTS = 1 << 23
MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 1 << 16

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    _BOOL: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}


class BlockSize(NamedTuple):
    """A quantised type keeps `num_elements` numbers of a row together in `num_bytes`."""

    num_elements: int
    num_bytes: int


class TensorEntry(NamedTuple):
    """One tensor. `shape` is rows first, as NumPy has it; `offset` counts from the file's start."""

    shape: tuple[int, ...]
    type_id: int
    offset: int
    num_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """Metadata values are str, int, float, bool, or a list of one of these."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]


def read_header(path: Path, *, vocabulary: bool = True) -> GgufHeader:
    """Raises ModelMissing when there is no such file and DamagedError when any part of it cannot be right.

    Without `vocabulary` the lists whose keys begin with `tokenizer.` are passed over and left out.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if size < 24:
                raise DamagedError(f"{path} has {size} bytes, too few for a GGUF file. Fetch it again.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _HeaderReader(path, content, size, vocabulary).read()
    except (FileNotFoundError, IsADirectoryError):
        raise ModelMissing(f"There is no GGUF file at {path}.") from None


def block_sizes() -> dict[int, BlockSize]:
    """Every tensor type that the gguf library knows, by id."""
    from gguf.constants import GGML_QUANT_SIZES

    return {int(kind): BlockSize(*sizes) for kind, sizes in GGML_QUANT_SIZES.items()}


class _HeaderReader:
    def __init__(self, path: Path, content: mmap.mmap, size: int, vocabulary: bool) -> None:
        self._path, self._content, self._file_bytes = path, content, size
        self._vocabulary = vocabulary
        self._offset = 0
        self._num_elements = 0
        self._blocks = block_sizes()

    def read(self) -> GgufHeader:
        if self._take(4) != b"GGUF":
            self._fail("it does not begin with GGUF")
        version = self._number("<I")
        if version not in (2, 3):
            self._fail(f"its version is {version}; this potstill reads 2 and 3, little-endian")
        num_tensors = self._count("tensors", MAX_TENSORS, smallest_bytes=24)
        num_keys = self._count("metadata keys", MAX_METADATA_KEYS, smallest_bytes=13)
        metadata: dict[str, Any] = {}
        for _ in range(num_keys):
            key = self._string(MAX_NAME_BYTES)
            if key in metadata:
                self._fail(f"the key {key!r} stands twice")
            metadata[key] = self._value(key)
        if not self._vocabulary:
            metadata = {key: value for key, value in metadata.items() if value is not None}
        return GgufHeader(metadata, self._tensors(num_tensors, metadata))

    def _tensors(self, num_tensors: int, metadata: Mapping[str, Any]) -> dict[str, TensorEntry]:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            self._fail(f"general.alignment is {alignment!r}; it must be a power of two up to 2^20")
        relative = {}
        for _ in range(num_tensors):
            name, entry = self._tensor_entry(alignment)
            if name in relative:
                self._fail(f"the tensor {name!r} stands twice")
            relative[name] = entry
        start = -(-self._offset // alignment) * alignment
        tensors = {name: entry._replace(offset=start + entry.offset) for name, entry in relative.items()}
        self._check_ranges(tensors)
        return tensors

    def _tensor_entry(self, alignment: int) -> tuple[str, TensorEntry]:
        name = self._string(MAX_NAME_BYTES)
        num_dimensions = self._number("<I")
        if not 1 <= num_dimensions <= MAX_DIMENSIONS:
            self._fail(f"tensor {name!r} has {num_dimensions} dimensions; 1 to {MAX_DIMENSIONS} are possible")
        shape = tuple(self._number("<Q") for _ in range(num_dimensions))[::-1]
        type_id, offset = self._number("<I"), self._number("<Q")
        if offset % alignment:
            self._fail(f"tensor {name!r} begins at {offset}, which is no multiple of {alignment}")
        return name, TensorEntry(shape, type_id, offset, self._tensor_bytes(name, shape, type_id))

    def _tensor_bytes(self, name: str, shape: tuple[int, ...], type_id: int) -> int:
        block = self._blocks.get(type_id)
        if block is None:
            self._fail(f"tensor {name!r} has the unknown type {type_id}")
        num_elements = math.prod(shape)
        if num_elements == 0 or shape[-1] % block.num_elements:
            self._fail(
                f"tensor {name!r} of shape {shape} does not divide into blocks of {block.num_elements}"
            )
        return num_elements // block.num_elements * block.num_bytes

    def _check_ranges(self, tensors: Mapping[str, TensorEntry]) -> None:
        for name, entry in tensors.items():
            if entry.offset + entry.num_bytes > self._file_bytes:
                self._fail(f"tensor {name!r} would end past its last byte, {self._file_bytes:,}")
        in_order = sorted(tensors.items(), key=lambda item: item[1].offset)
        for (before, first), (after, second) in pairwise(in_order):
            if first.offset + first.num_bytes > second.offset:
                self._fail(f"the tensors {before!r} and {after!r} overlap")

    def _value(self, key: str) -> Any:
        type_id = self._number("<I")
        if type_id == _STRING:
            return self._string(MAX_HEADER_BYTES)
        if type_id == _ARRAY:
            return self._array(key)
        return self._numbers(key, type_id, 1)[0]

    def _array(self, key: str) -> list[Any] | None:
        """None where it is passed over."""
        type_id = self._number("<I")
        smallest_bytes = 8 if type_id == _STRING else 1
        count = self._count(f"elements in {key!r}", MAX_ARRAY_ELEMENTS - self._num_elements, smallest_bytes)
        self._num_elements += count
        is_wanted = self._vocabulary or not key.startswith("tokenizer.")
        if type_id != _STRING:
            numbers = self._numbers(key, type_id, count)
            return numbers if is_wanted else None
        if is_wanted:
            return self._strings(count)
        self._pass_strings(count)
        return None

    def _numbers(self, key: str, type_id: int, count: int) -> list[Any]:
        if type_id not in _SCALARS:
            self._fail(f"{key!r} has the unknown type {type_id}")
        dtype = np.dtype(_SCALARS[type_id])
        content = self._take(dtype.itemsize * count)
        if type_id == _BOOL and content.strip(b"\x00\x01"):
            self._fail(f"{key!r} holds a truth value that is neither 0 nor 1")
        values: list[Any] = np.frombuffer(content, dtype).tolist()
        return values

    def _string(self, limit_bytes: int) -> str:
        length = self._number("<Q")
        if length > limit_bytes:
            self._fail(f"a text at byte {self._offset:,} claims {length:,} bytes")
        return self._decoded(self._take(length))

    def _strings(self, count: int) -> list[str]:
        # A vocabulary has a quarter of a million: one bounds check and no calls for each.
        content, offset = self._content, self._offset
        limit = min(self._file_bytes, MAX_HEADER_BYTES)
        unpack, texts = struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            if offset + 8 > limit:
                break
            start = offset + 8
            offset = start + unpack(content, offset)[0]
            if offset > limit:
                break
            texts.append(content[start:offset])
        if len(texts) < count:
            self._fail(f"its texts run past byte {limit:,}")
        self._offset = offset
        try:
            return list(map(bytes.decode, texts))
        except UnicodeDecodeError as error:
            return [self._decoded(error.object)]

    def _pass_strings(self, count: int) -> None:
        content, offset = self._content, self._offset
        limit = min(self._file_bytes, MAX_HEADER_BYTES)
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if offset + 8 > limit:
                break
            offset += 8 + unpack(content, offset)[0]
        if offset > limit:
            self._fail(f"its texts run past byte {limit:,}")
        self._offset = offset

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._fail(f"the text {content[:40]!r} before byte {self._offset:,} is not valid UTF-8")

    def _count(self, what: str, limit: int, smallest_bytes: int) -> int:
        """A count that the rest of the file has room for, at `smallest_bytes` or more for each."""
        count = self._number("<Q")
        if count > limit or count * smallest_bytes > self._file_bytes - self._offset:
            self._fail(f"it claims {count:,} {what}, more than it has room for")
        return count

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(number)

    def _take(self, length: int) -> bytes:
        end = self._offset + length
        if end > self._file_bytes:
            self._fail(f"it ends at byte {self._file_bytes:,}, inside its header")
        if end > MAX_HEADER_BYTES:
            self._fail(f"its header is longer than {MAX_HEADER_BYTES:,} bytes")
        taken = self._content[self._offset : end]
        self._offset = end
        return taken

    def _fail(self, reason: str) -> NoReturn:
        raise DamagedError(f"{self._path} is not a whole GGUF file: {reason}. Fetch or convert it again.")
