"""What is remembered of a text, kept at the tokens the text has now. No torch here."""

from typing import Generic, NamedTuple, Protocol, TypeVar

from potstill.lm.context import Context


class TokenStack(Protocol):
    """Something that is known of a row of tokens, and grows and shrinks at its end."""

    def push(self, token_id: int) -> None: ...

    def pop(self) -> None:
        """Take the last token back; there must be one."""
        ...


Kept = TypeVar("Kept", bound=TokenStack)


class Change(NamedTuple):
    """From one time a text was asked about to the next: its last tokens go, then these come."""

    num_gone: int
    new_ids: tuple[int, ...]


class FollowedText(Generic[Kept]):
    """Tells `kept` of what came and what went, so that what did not change costs a comparison only."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self._prompt_ids: tuple[int, ...] = ()
        self._output_ids: tuple[int, ...] = ()

    def go_to(self, context: Context) -> Change:
        change = self._change_to(context)
        for _ in range(change.num_gone):
            self.kept.pop()
        for token_id in change.new_ids:
            self.kept.push(token_id)
        self._prompt_ids, self._output_ids = context.prompt_ids, context.output_ids
        return change

    def _change_to(self, context: Context) -> Change:
        if context.prompt_ids is not self._prompt_ids and context.prompt_ids != self._prompt_ids:
            return _change(self._prompt_ids + self._output_ids, context.token_ids)
        return _change(self._output_ids, context.output_ids)


def _change(before: tuple[int, ...], now: tuple[int, ...]) -> Change:
    num_same = min(len(before), len(now))
    if before[:num_same] != now[:num_same]:
        pairs = zip(before, now, strict=False)
        num_same = next(at for at, (one, other) in enumerate(pairs) if one != other)
    return Change(len(before) - num_same, now[num_same:])
