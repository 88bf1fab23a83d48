"""llguidance's matcher, for texts that go back and for neighbours that run into its limits.

A matcher that meets a limit never answers again, nor does any copy of it: copies share their lexer's states.
"""

from collections.abc import Callable
from typing import Self, TypeVar

from llguidance import LLMatcher

Found = TypeVar("Found")


class MatcherSource:
    """Matchers at the beginning of a text; those of `shared` work out each state once for all texts."""

    def __init__(self, make: Callable[[], LLMatcher]) -> None:
        self._make, self._start = make, make()
        self._is_spoilt = False

    @property
    def error(self) -> str:
        return self._start.get_error()

    def shared(self) -> LLMatcher:
        if self._is_spoilt:
            self._start, self._is_spoilt = self._make(), False
        return self._start.deep_copy()

    def own(self) -> LLMatcher:
        """One that shares nothing, for a text whose matcher met a limit: its own, or that of another text."""
        self._is_spoilt = True
        return self._make()


class FollowedText:
    """The tokens so far and the matcher that stands there. Where it meets a limit they are followed once
    more by one of their own; `failure` says why that did not do either, until the text goes back.
    `num_made` counts the matchers of its own."""

    def __init__(self, source: MatcherSource, matcher: LLMatcher | None = None) -> None:
        self.token_ids: list[int] = []
        self.failure, self.num_made = "", 0
        self._source, self._matcher = source, matcher or source.shared()

    @property
    def is_accepting(self) -> bool:
        return not self.failure and self._matcher.is_accepting()

    @property
    def must_end(self) -> bool:
        return self.is_accepting and self._matcher.is_stopped()

    def mask(self) -> bytes | None:
        """A bit a token; None after a failure."""
        return self._ask(lambda: self._matcher.compute_bitmask())

    def forced(self) -> list[int]:
        return self._ask(lambda: self._matcher.compute_ff_tokens()) or []

    def may_take(self, token_id: int) -> bool:
        return self._ask(lambda: self._matcher.validate_tokens([token_id])) == 1

    def take(self, token_id: int) -> None:
        self.token_ids.append(token_id)
        if not self.failure and not self._matcher.consume_token(token_id):
            self._follow_anew()

    def undo(self, num_tokens: int) -> None:
        del self.token_ids[len(self.token_ids) - num_tokens :]
        if self.failure or not self._matcher.rollback(num_tokens):
            self._follow_anew()

    def fork(self) -> Self:
        other = type(self)(self._source, self._matcher.deep_copy())
        other.token_ids, other.failure = self.token_ids.copy(), self.failure
        other.num_made = self.num_made
        return other

    def _ask(self, question: Callable[[], Found]) -> Found | None:
        if self.failure:
            return None
        found = question()
        if not self._matcher.is_error():
            return found
        self._follow_anew()
        if not self.failure:
            found = question()
            self._note_failure()
        return None if self.failure else found

    def _follow_anew(self) -> None:
        self.failure = ""
        self.num_made += 1
        self._matcher = self._source.own()
        self._matcher.consume_tokens(self.token_ids)
        self._note_failure()

    def _note_failure(self) -> None:
        if self._matcher.is_error():
            self.failure = self._matcher.get_error().split("\n")[0] or "it gives no reason"
