"""What the native core throws, as the errors a user meets."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

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


class QueryTold:
    """As `damage_told`; what the core finds wrong with a caller's ids, ranks or positions is a UsageError.

    A class, since entering a generator takes longer than some of the questions do.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _native.DamagedFileError):
            with damage_told():
                raise error
        if isinstance(error, ValueError | IndexError):
            raise UsageError(f"{str(error).rstrip('.')}.") from None


query_told = QueryTold()
