"""What a pipeline asks of a task: arguments to a call, inputs to answers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from potstill.errors import UsageError
from potstill.progress import Task


class Call(Protocol):
    """A task with all its arguments."""

    def check(self, inputs: object) -> object:
        """One input as `answers` takes it; UsageError for what is none."""
        ...

    def answers(self, inputs: Sequence[Any], task: Task) -> list[Any]:
        """One answer an input, in their order; `task` advances by inputs."""
        ...

    def alone(self, inputs: object, answer: Any) -> Any:
        """What a caller gets who gave one input and no list."""
        ...

    def together(self, answers: list[Any]) -> list[Any]:
        """What a caller gets who gave a list."""
        ...

    def stream(self, inputs: Any) -> Iterator[str]:
        """The text of one input in pieces; UsageError where no text is written."""
        ...


class Job(Protocol):
    """A task over a model that is held elsewhere."""

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What a caller wants done, and the other arguments."""
        ...

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> Call:
        """UsageError for an argument the task has not, or one that is wrong.

        `named` are those the call itself named; the others were given before it.
        """
        ...


def one_input(
    task: str, names: Sequence[str], positional: Sequence[Any], named: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The first positional argument, or the one that has one of `names`."""
    rest = dict(named)
    found = [*positional, *(rest.pop(name) for name in names if name in rest)]
    if len(found) != 1:
        raise UsageError(f"{task} takes one input, a list or a generator; {len(found)} were given.")
    return found[0], rest


def checked_text(task: str, value: object) -> str:
    """The text; UsageError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and {"role", "content"} <= value.keys():
        raise UsageError(
            f"{task} takes texts, not the turns of a chat. `potstill chat` and ChatBot take those."
        )
    raise UsageError(f"{task} takes texts; a {type(value).__name__} was given.")


def no_stream(task: str) -> NoReturn:
    raise UsageError(f"{task} writes no text that could be shown as it is written. Leave stream out.")
