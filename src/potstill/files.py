"""Writing so that a reader sees the old bytes or the new ones, never a mixture.

Everything is written under a temporary name beside its target, flushed to the disk, and renamed. What is
left of a write that was cut short begins with `.tmp-` and is removed by the next write to the same target.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from potstill.errors import DamagedError, DiskFull, MissingError

_CHUNK_BYTES = 1 << 20
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends without an exception."""
    partial = path.with_name(f".tmp-{path.name}")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """An empty folder that becomes `path` when the block ends without an exception.

    A folder that stands at `path` already is replaced: it is moved aside first, and a reader that comes
    between the two renames finds nothing there.
    """
    partial, old = path.with_name(f".tmp-{path.name}"), path.with_name(f".tmp-old-{path.name}")
    with _disk_errors(path):
        if old.exists() and not path.exists():
            # A crash came between the two renames: what stood at `path` is still the newest that is whole.
            os.replace(old, path)
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            for file in sorted(partial.rglob("*")):
                sync_folder(file) if file.is_dir() else sync_file(file)
            sync_folder(partial)
            if path.exists():
                os.replace(path, old)
            os.replace(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    with writing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON with sorted keys, so equal values are equal bytes; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist.") from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not valid JSON ({error}).") from None


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sync_folder(path: Path) -> None:
    """Make renames inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make what was written to `path` durable."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(
                f"No room left for {path}. Free some space and run the same command again; "
                f"what was finished before is kept."
            ) from error
        raise


def is_disk_full(error: Exception) -> bool:
    """Whether the disk or the user's share of it has no room left."""
    return _number_of(error) in (errno.ENOSPC, errno.EDQUOT)


def _number_of(error: Exception) -> int | None:
    """The system's number of what went wrong; safetensors, written in Rust, tells it in its message alone."""
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_ERROR.search(str(error))
    return int(found[1]) if found else None
