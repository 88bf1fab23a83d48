"""The tensors of a model folder: one safetensors file or several with an index.

Every header is checked against its file before a tensor is made. Pickled checkpoints are refused: reading one
can run any code.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeGuard

import torch

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json

MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 1 << 16
MAX_DIMENSIONS = 8
MAX_SHARDS = 1 << 12

_COMPARED_AT_ONCE = 1 << 20

_INDEX = "model.safetensors.index.json"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Entry(NamedTuple):
    """A tensor of a file; `offset` counts from the file's start."""

    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    num_bytes: int


class Header(NamedTuple):
    """What stands before the tensors of a file. `about` is free text, by name."""

    entries: Mapping[str, Entry]
    about: Mapping[str, str]


class SafetensorsFolder:
    """All tensors in `path`: a folder, or a single .safetensors file.

    Raises ModelMissing when there are none and DamagedError when a header cannot be right.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, Entry] = {}
        for file in weight_files(path):
            with open(file, "rb") as opened:
                entries = read_header(file, opened).entries
            for name, entry in entries.items():
                if name in self._entries:
                    _fail(file, f"the tensor {name!r} stands in {self._entries[name].file.name} too")
                self._entries[name] = entry

    def names(self) -> list[str]:
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entry(name).shape

    def dtype(self, name: str) -> torch.dtype:
        return self._entry(name).dtype

    def read(self, name: str) -> torch.Tensor:
        """The tensor in its own dtype, in memory of its own."""
        entry = self._entry(name)
        content = bytearray(entry.num_bytes)
        with open(entry.file, "rb") as file:
            file.seek(entry.offset)
            if file.readinto(content) < entry.num_bytes:
                _fail(entry.file, f"it was cut short inside {name!r}")
        if not content:
            return torch.empty(entry.shape, dtype=entry.dtype)
        return torch.frombuffer(content, dtype=entry.dtype).reshape(entry.shape)

    def are_equal(self, first: str, second: str) -> bool:
        """Whether two tensors hold the same, told without holding either."""
        a, b = self._entry(first), self._entry(second)
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        with open(a.file, "rb") as of_a, open(b.file, "rb") as of_b:
            for start in range(0, a.num_bytes, _COMPARED_AT_ONCE):
                size = min(_COMPARED_AT_ONCE, a.num_bytes - start)
                of_a.seek(a.offset + start)
                of_b.seek(b.offset + start)
                if of_a.read(size) != of_b.read(size):
                    return False
        return True

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise DamagedError(f"{self.path} has no tensor {name!r}. Fetch or export the model again.")
        return self._entries[name]


def weight_files(path: Path) -> list[Path]:
    """The files of a folder that hold tensors, or `path` itself where it is a file."""
    if path.is_file():
        return [path]
    if (path / _INDEX).is_file():
        return _shards(path)
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    pickles = [file for suffix in ("bin", "pt", "pth") for file in sorted(path.glob(f"*.{suffix}"))]
    if pickles:
        raise ModelMissing(
            f"{pickles[0]} is a pickle, which can run any code when it is read, so it is never opened here. "
            f"Use a safetensors version of this model."
        )
    raise ModelMissing(f"{path} has neither model.safetensors nor {_INDEX}. Fetch or export the model again.")


def _shards(folder: Path) -> list[Path]:
    index = read_json(folder / _INDEX)
    placed = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(placed, dict) or not all(isinstance(name, str) for name in placed.values()):
        _fail(folder / _INDEX, "it has no weight_map of file names")
    names = sorted(set(placed.values()))
    if len(names) > MAX_SHARDS or any(Path(name).name != name for name in names):
        _fail(folder / _INDEX, "it names files outside its folder, or far too many")
    for name in names:
        if not (folder / name).is_file():
            raise ModelMissing(f"{folder / name} is missing, but {_INDEX} names it. Fetch the model again.")
    return [folder / name for name in names]


def read_header(path: Path, file: BinaryIO) -> Header:
    """Of `file`, open at its start; `path` is for messages. DamagedError where it cannot be right."""
    file_bytes = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if len(prefix) < 8:
        _fail(path, f"it has {file_bytes} bytes")
    (header_bytes,) = struct.unpack("<Q", prefix)
    if header_bytes > MAX_HEADER_BYTES or 8 + header_bytes > file_bytes:
        _fail(path, f"its header claims {header_bytes:,} bytes")
    header = _parse(path, file.read(header_bytes))
    about = header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        _fail(path, f"it claims {len(header):,} tensors")
    start = 8 + header_bytes
    entries = {name: _check_entry(path, name, described, start) for name, described in header.items()}
    _check_contiguous(path, entries, start, file_bytes)
    texts = about.items() if isinstance(about, dict) else ()
    return Header(entries, {name: text for name, text in texts if isinstance(text, str)})


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    # Parsed JSON takes many times its text: what cannot be MAX_TENSORS descriptions is not parsed.
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > 20 * MAX_TENSORS:
        _fail(path, "its header holds more than descriptions of tensors")
    try:
        header = json.loads(content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        _fail(path, f"its header is not valid JSON ({error})")
    if not isinstance(header, dict):
        _fail(path, "its header is not a JSON object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice")
    return table


def _check_entry(path: Path, name: str, described: Any, start: int) -> Entry:
    fields = described if isinstance(described, dict) else {}
    dtype = _DTYPES.get(str(fields.get("dtype")))
    if dtype is None:
        _fail(path, f"tensor {name!r} has the unknown type {fields.get('dtype')!r}")
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(shape) > MAX_DIMENSIONS or len(offsets) != 2:
        _fail(path, f"tensor {name!r} has no valid shape and offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * dtype.itemsize:
        _fail(path, f"tensor {name!r} of shape {tuple(shape)} does not fill its {end - begin:,} bytes")
    return Entry(path, dtype, tuple(shape), start + begin, end - begin)


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)


def _check_contiguous(path: Path, entries: dict[str, Entry], start: int, file_bytes: int) -> None:
    """The format wants tensors one after the other, without a gap, up to the end of the file."""
    expected = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].offset, item[1].num_bytes)):
        if entry.offset != expected:
            _fail(path, f"tensor {name!r} begins at byte {entry.offset:,} instead of {expected:,}")
        expected += entry.num_bytes
    if expected != file_bytes:
        _fail(path, f"its tensors end at byte {expected:,} of {file_bytes:,}")


def _fail(path: Path, reason: str) -> NoReturn:
    raise DamagedError(f"{path} is not a whole safetensors file: {reason}. Fetch or export it again.")
