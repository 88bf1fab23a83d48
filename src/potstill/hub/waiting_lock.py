"""A folder's lock that is waited for: whoever holds it makes what the others want too."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from potstill.errors import LockedError
from potstill.locks import locked

_WAIT_S = 60.0
_AGAIN_S = 0.1


@contextmanager
def waiting_lock(folder: Path) -> Iterator[None]:
    """Hold `folder`'s lock for the block; LockedError when another process keeps it for a minute."""
    deadline = time.monotonic() + _WAIT_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(folder))
                break
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)
        yield
