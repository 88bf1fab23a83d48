"""Typed reading of a table that came from a file: a wrong or missing value is an error that names it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from potstill.errors import DamagedError

_MAX_FLOAT = sys.float_info.max


@contextmanager
def errors_at(where: str) -> Iterator[None]:
    """Put `where` before the message of a DamagedError that does not begin with it."""
    try:
        yield
    except DamagedError as error:
        if str(error).startswith(where):
            raise
        raise DamagedError(f"{where}: {error}") from None


class Fields:
    """The values of `table`, read from `where` (a path, for messages).

    Each method returns `default` for a missing or null value; without a default that is a DamagedError.
    """

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self._table, self._where = table, where

    def has(self, name: str) -> bool:
        return self._table.get(name) is not None

    def mentions(self, name: str) -> bool:
        """Whether the name is there at all, be it with null."""
        return name in self._table

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._value(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"is {value!r}; a whole number belongs there")
        return value

    def count(self, name: str, high: int, default: int | None = None) -> int:
        """A whole number from 1 to `high`."""
        value = self.integer(name, default)
        if not 1 <= value <= high:
            raise self.error(name, f"is {value}; it must be in 1 to {high:,}")
        return value

    def optional_integer(self, name: str) -> int | None:
        return self.integer(name) if self.has(name) else None

    def number(self, name: str, default: float | None = None) -> float:
        value = self._value(name, default)
        # An integer of JSON may have thousands of digits: compared first, since float() would raise.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_FLOAT:
            raise self.error(name, f"is {value!r:.40}; a finite number belongs there")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        return self.number(name) if self.has(name) else None

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.error(name, f"is {value!r}; true or false belongs there")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self.error(name, f"is {value!r}; a text belongs there")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """A whole number or a list of them; nothing is an empty tuple."""
        value = self._table.get(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        if any(isinstance(item, bool) or not isinstance(item, int) for item in values):
            raise self.error(name, f"is {value!r}; a whole number or a list of them belongs there")
        return tuple(values)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._value(name, None)
        if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
            raise self.error(name, f"is {value!r}; a list of texts belongs there")
        return tuple(value)

    def table(self, name: str) -> "Fields":
        """A table inside this one; a missing one is empty."""
        value = self._table.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error(name, f"is {value!r}; a table belongs there")
        return Fields(value or {}, f"{self._where}: {name}")

    def refuse(self, name: str, *harmless: Any) -> None:
        """DamagedError unless the value is missing, null or one of `harmless`."""
        value = self._table.get(name)
        if value is not None and value not in harmless:
            raise self.error(name, f"is {value!r}, which this version cannot run")

    def error(self, name: str, what: str) -> DamagedError:
        return DamagedError(f"{self._where}: {name} {what}.")

    def _value(self, name: str, default: Any) -> Any:
        value = self._table.get(name)
        if value is None:
            value = default
        if value is None:
            raise self.error(name, "is missing")
        return value
