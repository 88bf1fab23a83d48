"""Objects that stay where work runs and are asked again and again: the ones of this very process."""

from collections.abc import Callable, Sequence
from typing import Any

from potstill.executors.executor import Item
from potstill.executors.outcome import Done, Outcome, outcome_of


class ResidentsHere:
    """One object an item. One that could not be made answers every question with the reason."""

    def __init__(self, factory: Callable[[Item], Any], items: Sequence[Item]) -> None:
        self._made = [outcome_of(factory, item) for item in items]

    def ask(self, method: str, *arguments: Any, which: Sequence[int] | None = None) -> list[Outcome]:
        asked = self._made if which is None else [self._made[number] for number in which]
        return [outcome_of(ask, made, method, arguments) for made in asked]

    def close(self) -> None:
        for made in self._made:
            if isinstance(made, Done):
                made.result.close()


def ask(made: Outcome, method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(made.value(), method)(*arguments)
