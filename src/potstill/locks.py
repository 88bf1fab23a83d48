"""One writer a folder. The kernel drops the lock with its process, so a crash leaves nothing stale."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.errors import LockedError, UsageError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`/.lock for the block; LockedError names the process that has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise UsageError(f"{folder} cannot be made a folder ({error.strerror}). Name another one.") from None
    path = folder / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                f"{folder} is in use by process {holder}. Wait for it, or stop it, then run this again."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
