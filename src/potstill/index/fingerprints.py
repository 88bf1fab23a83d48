"""What unfinished work is of, so that the same command goes on with it and another one does not."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

from potstill.corpus.source_files import SourceFile
from potstill.settings import to_table

# Raised when the same sources and settings would give other files.
_VERSION = 1


def fingerprint_of(kind: str, *parts: Any) -> str:
    """24 hexadecimal digits of plain values and dataclasses of them."""
    plain = json.dumps([_VERSION, kind, *map(_plain, parts)], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:24]


def stamps(files: Sequence[SourceFile]) -> list[tuple[str, int, int, int]]:
    """Path, size and times of each file: one that is written again gets another stamp, whatever its date."""
    return [(os.fsencode(file.path).hex(), file.size, file.modified_ns, file.changed_ns) for file in files]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else to_table(value)
