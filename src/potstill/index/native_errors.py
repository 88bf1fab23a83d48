"""What the native core throws, as the errors a user meets."""

from collections.abc import Iterator
from contextlib import contextmanager

from potstill import _native
from potstill.errors import DamagedError, UsageError


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


@contextmanager
def query_told() -> Iterator[None]:
    """As `damage_told`; what the core finds wrong with a caller's ids, ranks or positions is a UsageError."""
    try:
        with damage_told():
            yield
    except (ValueError, IndexError) as error:
        raise UsageError(f"{str(error).rstrip('.')}.") from None
