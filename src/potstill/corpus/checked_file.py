"""A mapped file whose blocks are compared with their CRC-32C before their first use."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from potstill import _native
from potstill.corpus.checksums import BLOCK_BYTES, Sums, check_size, damaged_block
from potstill.errors import DamagedError

Bytes = npt.NDArray[np.uint8]


class CheckedFile:
    """`size` bytes, read-only; not to be changed while it is open. Safe to read from several threads."""

    def __init__(self, path: Path, size: int, sums: Sums) -> None:
        check_size(path, size)
        self.path, self.size = path, size
        self._sums = sums
        self._is_verified = np.zeros(len(sums), bool)
        self._bytes: Bytes = (
            np.memmap(path, np.uint8, mode="r", shape=(size,)) if size else np.zeros(0, np.uint8)
        )

    def read(self, start: int, stop: int) -> Bytes:
        """Bytes [start, stop) as a view of the map; DamagedError where they are not what was written."""
        if not 0 <= start <= stop <= self.size:
            raise DamagedError(
                f"{self.path} is {self.size:,} bytes long; bytes {start:,} to {stop:,} were asked for. "
                f"A file beside it was altered: copy the folder again, or build it again."
            )
        first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        if start < stop and not self._is_verified[first:last].all():
            self._verify(first, last)
        return self._bytes[start:stop]

    def _verify(self, first: int, last: int) -> None:
        for block in np.flatnonzero(~self._is_verified[first:last]) + first:
            content = self._bytes[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if _native.crc32c(content) != self._sums[block]:
                raise damaged_block(self.path, int(block))
            self._is_verified[block] = True
