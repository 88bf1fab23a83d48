"""What the native core throws, as the errors a user meets."""

from collections.abc import Iterator
from contextlib import contextmanager

from potstill import _native
from potstill.errors import DamagedError


@contextmanager
def damage_told() -> Iterator[None]:
    """DamagedError, naming file and byte offset, where a file is found altered inside the block."""
    try:
        yield
    except _native.DamagedFileError as error:
        raise DamagedError(
            f"{error}. See what else is damaged with `potstill index verify`, then restore the index from a "
            f"copy or build it again."
        ) from None
