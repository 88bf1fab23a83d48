"""A text that follows a grammar, token by token, over llguidance's matcher."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from potstill.constraints.vocabulary import Vocabulary, mask_of
from potstill.errors import UsageError

# Masks of the tokens before the last few, which are asked about again where guesses are taken back.
_MOST_MASKS = 32


class _Run(NamedTuple):
    """Tokens that come next whatever the model says, and how many of them are taken."""

    token_ids: tuple[int, ...] = ()
    num_taken: int = 0

    @property
    def num_left(self) -> int:
        return len(self.token_ids) - self.num_taken

    @property
    def next_id(self) -> int:
        return self.token_ids[self.num_taken]


class GrammarConstraint:
    """Implements `potstill.constraints.protocol.Constraint`.

    Where the grammar leaves one way to go on, this way is cut into tokens as the tokenizer cuts it, and only
    these are allowed until they are written; the last of them stays open where a longer one could stand.

    `name` is what the grammar is called in sentences. A matcher that runs into its limits never leaves that
    state, so the text is followed anew where it goes back; UsageError where it is asked what may come next.
    """

    def __init__(self, start: LLMatcher, vocabulary: Vocabulary, name: str) -> None:
        """`start` stands at the beginning of a text and is not changed."""
        self._start, self._vocabulary, self._name = start, vocabulary, name
        self._matcher = start.deep_copy()
        self._taken: list[int] = []
        self._has_ended = False
        self._runs = [self._next_run()]
        self._masks: dict[int, NDArray[np.int32]] = {}

    @property
    def vocab_size(self) -> int:
        return self._vocabulary.size

    def allowed(self) -> NDArray[np.int32]:
        if self.must_end:
            # Without a token that ends a text it is not asked about again, and some token has to be allowed.
            return self._vocabulary.ends if self._vocabulary.end_ids else self._vocabulary.writable
        mask = self._masks.get(len(self._taken))
        if mask is None:
            mask = self._masks[len(self._taken)] = self._find_mask()
        return mask

    def forced(self) -> tuple[int, ...]:
        run = self._runs[-1]
        return () if self._has_ended else run.token_ids[run.num_taken :]

    @property
    def must_end(self) -> bool:
        return self._has_ended or (self._matcher.is_stopped() and self._is_accepting)

    def num_valid(self, token_ids: Sequence[int]) -> int:
        num_taken = 0
        try:
            for token_id in token_ids:
                if not self._may_take(token_id):
                    break
                self.take(token_id)
                num_taken += 1
        finally:
            self.undo(num_taken)
        return num_taken

    def take(self, token_id: int) -> None:
        if token_id in self._vocabulary.end_ids:
            assert self._is_accepting and not self._has_ended, token_id
            self._has_ended = True
            return
        was_taken = self._matcher.consume_token(token_id)
        # In the state of an error all tokens are refused; `allowed` says what it is.
        assert was_taken or self._matcher.is_error(), token_id
        self._taken.append(token_id)
        self._masks.pop(len(self._taken) - _MOST_MASKS, None)
        run = self._runs[-1]
        self._runs.append(run._replace(num_taken=run.num_taken + 1) if run.num_left > 1 else self._next_run())

    def undo(self, num_tokens: int) -> None:
        if num_tokens > 0:
            num_tokens -= self._has_ended
            self._has_ended = False
        assert 0 <= num_tokens <= len(self._taken), num_tokens
        if num_tokens == 0:
            return
        for length in range(len(self._taken) - num_tokens, len(self._taken)):
            self._masks.pop(length + 1, None)
        del self._taken[-num_tokens:], self._runs[-num_tokens:]
        if self._matcher.is_error() or not self._matcher.rollback(num_tokens):
            self._matcher = self._start.deep_copy()
            self._matcher.consume_tokens(self._taken)

    def fork(self) -> Self:
        other = type(self).__new__(type(self))
        other._start, other._vocabulary, other._name = self._start, self._vocabulary, self._name
        other._matcher = self._matcher.deep_copy()
        other._taken, other._runs = self._taken.copy(), self._runs.copy()
        other._has_ended, other._masks = self._has_ended, self._masks.copy()
        return other

    def unmet(self) -> tuple[str, ...]:
        if self._has_ended or self._is_accepting:
            return ()
        return (f"The text ends before {self._name} allows it to; allow more tokens.",)

    @property
    def _is_accepting(self) -> bool:
        return self._matcher.is_accepting() and not self._matcher.is_error()

    def _may_take(self, token_id: int) -> bool:
        if self._has_ended or self._matcher.is_error():
            return False
        if self._runs[-1].num_left:
            return token_id == self._runs[-1].next_id
        if token_id in self._vocabulary.end_ids:
            return self._is_accepting
        return self._vocabulary.can_write(token_id) and self._matcher.validate_tokens([token_id]) == 1

    def _next_run(self) -> _Run:
        """What is forced here, as far as each of its tokens may really stand there."""
        found = [] if self._matcher.is_stopped() else self._matcher.compute_ff_tokens()
        if not found or self._matcher.is_error():
            return _Run()
        num_valid = self._matcher.validate_tokens(found)
        wrong = (place for place, token in enumerate(found) if not self._vocabulary.can_write(token))
        return _Run(tuple(found[: min(num_valid, next(wrong, num_valid))]))

    def _find_mask(self) -> NDArray[np.int32]:
        if self._runs[-1].num_left:
            return mask_of([self._runs[-1].next_id], self.vocab_size)
        octets = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            self._fail()
        words = np.frombuffer(octets, "<i4")[: len(self._vocabulary.writable)].astype(np.int32, copy=False)
        mask: NDArray[np.int32] = words & self._vocabulary.writable
        if self._is_accepting:
            mask |= self._vocabulary.ends
        if not mask.any():
            self._fail()
        mask.flags.writeable = False
        return mask

    def _fail(self) -> None:
        reason = self._matcher.get_error().split("\n")[0]
        if reason in ("", "NoExtensionBias"):
            reason = "the vocabulary has no token for what has to come"
        raise UsageError(f"After {len(self._taken):,} tokens {self._name} cannot be followed: {reason}.")
