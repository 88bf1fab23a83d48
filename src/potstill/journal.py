"""An append-only file of JSON lines that survives a crash between any two bytes."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from potstill.files import write_bytes


class Journal:
    """Records are on the disk when `append` returns; a torn last line is not a record and is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()
        with open(self._path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with open(self._path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def keep(self, count: int) -> None:
        """Drop every record after the first `count`."""
        kept = [json.dumps(record, sort_keys=True, ensure_ascii=False) for record in self.records()][:count]
        write_bytes(self._path, "".join(f"{line}\n" for line in kept).encode())

    def _drop_torn_line(self) -> None:
        if not self._path.exists():
            return
        with open(self._path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
