"""Keeps packed weights in processes that die, each one operation later than the one before.

After every death a file that is there must be whole. Prints how many deaths it took until one lived.
"""

import builtins
import os
import sys
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from potstill import files
from potstill.models.compile_cache import file_name, kept_or_packed, weights_key
from potstill.models.kept_weights import KeptWeights
from potstill.models.program_weights import Part, ProgramWeights

PARTS = [
    Part("0.32x64.int8", np.arange(2112, dtype=np.uint8)),
    Part("1.vector", np.ones(7, np.float32)),
    Part("2.32x64.int8", np.ones(2112, np.uint8)),
]


class Countdown:
    def __init__(self, left: int) -> None:
        self.left = left

    def before(self, call: Any) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            if self.left == 0:
                os._exit(9)
            self.left -= 1
            return call(*given, **named)

        return counted


class CountedFile:
    """Unbuffered, so that what was written before the death is on the disk."""

    def __init__(self, path: Path, countdown: Countdown) -> None:
        self._file = FileIO(path, "wb")
        self.write = countdown.before(self._file.write)
        self.flush, self.fileno = self._file.flush, self._file.fileno

    def __enter__(self) -> "CountedFile":
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()


def build(weights: ProgramWeights) -> None:
    weights.parts.extend(PARTS)


def keep(model: Path, cache: Path, num_operations: int) -> None:
    countdown = Countdown(num_operations)

    def opened(path: Path, mode: str = "r") -> Any:
        return CountedFile(path, countdown) if mode == "wb" else builtins.open(path, mode)

    files.open = opened
    for name in ("fsync", "replace"):
        setattr(files.os, name, countdown.before(getattr(os, name)))
    kept_or_packed(cache, model, "int8", build)


def main(folder: Path) -> int:
    model, cache = folder / "model.gguf", folder / "cache"
    model.write_bytes(bytes(100))
    key = weights_key(model, "int8")
    path = cache / file_name(model, "int8", key)
    for num_operations in range(100):
        child = os.fork()
        if child == 0:
            keep(model, cache, num_operations)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if path.exists():
            KeptWeights(path, key)
        if status == 0:
            assert path.exists() and not list(cache.glob(".tmp-*"))
            return num_operations
        assert status == 9
        path.unlink(missing_ok=True)
    raise AssertionError("it never lives")


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
