"""The CRC-32C of every 64 KiB block of a store's files, kept in one file beside them.

checksums.bin holds, file after file in the order of their names, a little-endian u32 for each block; the
last block of a file is shorter unless it fits, and an empty file has none.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from potstill import _native
from potstill.errors import DamagedError, MissingError
from potstill.files import write_bytes

CHECKSUMS_FILE = "checksums.bin"
BLOCK_BYTES = 1 << 16

Sums = npt.NDArray[np.uint32]


class Checked(NamedTuple):
    """`files` are sizes in bytes, by name; `crc32c` is that of each block of checksums.bin itself."""

    files: dict[str, int]
    crc32c: tuple[int, ...]


def write_checksums(folder: Path, names: Iterable[str]) -> Checked:
    """Write `folder`/checksums.bin over the files `names` as they lie on the disk."""
    sums = {name: _native.crc32c_blocks(folder / name) for name in sorted(names)}
    path = folder / CHECKSUMS_FILE
    write_bytes(path, b"".join(blocks.astype("<u4").tobytes() for blocks in sums.values()))
    files = {name: (folder / name).stat().st_size for name in sums}
    return Checked(files, tuple(_native.crc32c_blocks(path).tolist()))


def read_checksums(folder: Path, checked: Checked) -> dict[str, Sums]:
    """The sums of each file. DamagedError where a file's size or the sums themselves are not as written."""
    for name, size in checked.files.items():
        check_size(folder / name, size)
    path = folder / CHECKSUMS_FILE
    names = sorted(checked.files)
    counts = [num_blocks(checked.files[name]) for name in names]
    check_size(path, 4 * sum(counts))
    verify_file(path, np.array(checked.crc32c, np.uint32))
    parts = np.split(np.fromfile(path, "<u4").astype(np.uint32, copy=False), np.cumsum(counts)[:-1])
    return dict(zip(names, parts, strict=True))


def num_blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES)


def check_size(path: Path, size: int) -> None:
    """MissingError or DamagedError unless `path` is a file of that many bytes."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise MissingError(f"{path} is missing. Copy the folder again, or build it again.") from None
    if found != size:
        raise DamagedError(
            f"{path}, byte {min(found, size):,}: {found:,} bytes are there, {size:,} were written. "
            f"Copy it again from where it is whole, or build it again."
        )


def verify_file(path: Path, sums: Sums) -> None:
    """Compare every block; DamagedError names the first that is not as written."""
    found = _native.crc32c_blocks(path)
    if len(found) != len(sums):
        raise DamagedError(f"{path} has {len(found):,} blocks where {len(sums):,} were written.")
    wrong = np.flatnonzero(found != sums)
    if len(wrong):
        raise damaged_block(path, int(wrong[0]))


def damaged_block(path: Path, block: int) -> DamagedError:
    return DamagedError(
        f"{path}, byte {block * BLOCK_BYTES:,}: the 64 KiB from there on were altered (their CRC-32C is not "
        f"the one they were written with). Copy it again from where it is whole, or build it again."
    )
