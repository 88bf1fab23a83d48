"""How a piece of work ended, as it travels from the worker back: a value, a refusal, or our own mistake."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from potstill.errors import PotstillError


class Outcome(Protocol):
    def value(self) -> Any:
        """The result, or the exception that came instead of it, raised."""
        ...


@dataclass(frozen=True)
class Done:
    result: Any

    def value(self) -> Any:
        return self.result


@dataclass(frozen=True)
class Refused:
    """A PotstillError or an OSError, by what makes it again: not every exception survives the journey."""

    kind: type[Exception]
    arguments: tuple[Any, ...]

    def value(self) -> Any:
        raise self.kind(*self.arguments)


@dataclass(frozen=True)
class Failed:
    """A mistake of ours, with the worker's traceback."""

    report: str

    def value(self) -> Any:
        raise RuntimeError(f"A worker failed. It said:\n{self.report}")


def outcome_of(function: Callable[..., Any], *arguments: Any) -> Outcome:
    try:
        return Done(function(*arguments))
    except PotstillError as error:
        return Refused(type(error), (str(error),))
    except OSError as error:
        if error.errno is None:
            return Refused(OSError, (str(error),))
        return Refused(OSError, (error.errno, error.strerror, error.filename))
    except Exception:
        return Failed(traceback.format_exc())


def outcome_in_worker(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """As `outcome_of`, and nothing passes: `sys.exit` and a panic in Rust are no `Exception`."""
    try:
        return outcome_of(function, *arguments)
    except BaseException:
        return Failed(traceback.format_exc())
