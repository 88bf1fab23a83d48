"""A text that follows a grammar, token by token, over llguidance's matcher."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from potstill.constraints.matcher import FollowedText, MatcherSource
from potstill.constraints.vocabulary import Vocabulary, mask_of
from potstill.errors import UsageError

# Masks of the tokens before the last few, which are asked about again where guesses are taken back.
_MOST_MASKS = 32
# A matcher made anew follows a text from its beginning, which takes a second for a long and hostile one.
_MOST_MADE = 4


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

    `name` is what the grammar is called in sentences. Where following it takes more than a step may,
    `allowed` raises UsageError until the text goes back.
    """

    def __init__(self, source: MatcherSource, vocabulary: Vocabulary, name: str) -> None:
        self._source, self._vocabulary, self._name = source, vocabulary, name
        self._text = FollowedText(source)
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
        num_taken = len(self._text.token_ids)
        mask = self._masks.get(num_taken)
        if mask is None:
            mask = self._masks[num_taken] = self._find_mask()
        return mask

    def forced(self) -> tuple[int, ...]:
        run = self._runs[-1]
        return () if self._has_ended else run.token_ids[run.num_taken :]

    @property
    def must_end(self) -> bool:
        return self._has_ended or self._text.must_end

    def num_valid(self, token_ids: Sequence[int]) -> int:
        """Of a text that has met limits again and again only forced tokens count: to ask takes too long."""
        num_taken = 0
        try:
            for token_id in token_ids:
                if not self._runs[-1].num_left and self._text.num_made > _MOST_MADE:
                    break
                if not self._may_take(token_id):
                    break
                self.take(token_id)
                num_taken += 1
        finally:
            self.undo(num_taken)
        return num_taken

    def take(self, token_id: int) -> None:
        if token_id in self._vocabulary.end_ids:
            assert self._text.is_accepting and not self._has_ended, token_id
            self._has_ended = True
            return
        self._text.take(token_id)
        self._masks.pop(len(self._text.token_ids) - _MOST_MASKS, None)
        run = self._runs[-1]
        self._runs.append(run._replace(num_taken=run.num_taken + 1) if run.num_left > 1 else self._next_run())

    def undo(self, num_tokens: int) -> None:
        if num_tokens > 0:
            num_tokens -= self._has_ended
            self._has_ended = False
        num_left = len(self._text.token_ids) - num_tokens
        assert num_tokens >= 0 <= num_left, num_tokens
        if num_tokens == 0:
            return
        for length in range(num_left, num_left + num_tokens):
            self._masks.pop(length + 1, None)
        del self._runs[-num_tokens:]
        self._text.undo(num_tokens)

    def fork(self) -> Self:
        other = type(self).__new__(type(self))
        other._source, other._vocabulary, other._name = self._source, self._vocabulary, self._name
        other._text, other._runs = self._text.fork(), self._runs.copy()
        other._has_ended, other._masks = self._has_ended, self._masks.copy()
        return other

    def at_start(self) -> Self:
        """The same grammar for a new text."""
        other = type(self)(self._source, self._vocabulary, self._name)
        other._masks = {length: mask for length, mask in self._masks.items() if length == 0}
        return other

    def unmet(self) -> tuple[str, ...]:
        if self._has_ended or self._text.is_accepting:
            return ()
        return (f"The text ends before {self._name} allows it to; allow more tokens.",)

    def unmet_by(self, text: str) -> tuple[str, ...]:
        """What a whole text does not meet, wherever this one stands: one of which the end was cut off."""
        matcher, matchable = self._source.shared(), self._vocabulary.matchable
        token_ids = matchable.tokenize_str(text)
        # Characters that no token writes are left out of the ids.
        is_whole = matchable.decode_bytes(token_ids) == text.encode()
        is_begun = is_whole and matcher.validate_tokens(token_ids) == len(token_ids)
        if is_begun and matcher.consume_tokens(token_ids) and matcher.is_accepting():
            return ()
        return (f"What is left of the text where its end was cut off is not what {self._name} allows.",)

    def _may_take(self, token_id: int) -> bool:
        if self._has_ended or self._text.failure:
            return False
        if self._runs[-1].num_left:
            return token_id == self._runs[-1].next_id
        if token_id in self._vocabulary.end_ids:
            return self._text.is_accepting
        return self._vocabulary.can_write(token_id) and self._text.may_take(token_id)

    def _next_run(self) -> _Run:
        """What is forced here, as far as the model has such tokens."""
        found = [] if self._text.must_end else self._text.forced()
        wrong = (place for place, token_id in enumerate(found) if not self._vocabulary.can_write(token_id))
        return _Run(tuple(found[: next(wrong, len(found))]))

    def _find_mask(self) -> NDArray[np.int32]:
        if self._runs[-1].num_left:
            return mask_of([self._runs[-1].next_id], self.vocab_size)
        octets = self._text.mask()
        if octets is None:
            raise self._failure()
        words = np.frombuffer(octets, "<i4")[: len(self._vocabulary.writable)].astype(np.int32, copy=False)
        mask: NDArray[np.int32] = words & self._vocabulary.writable
        if self._text.is_accepting:
            mask |= self._vocabulary.ends
        if not mask.any():
            raise self._failure()
        mask.flags.writeable = False
        return mask

    def _failure(self) -> UsageError:
        reason = self._text.failure
        if reason in ("", "NoExtensionBias"):
            reason = "the vocabulary has no token for what has to come"
        num_taken = len(self._text.token_ids)
        return UsageError(f"After {num_taken:,} tokens {self._name} cannot be followed: {reason}.")
