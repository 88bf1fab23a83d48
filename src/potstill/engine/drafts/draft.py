"""What is guessed of a text's next tokens, and who guesses. No torch here."""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple, Protocol

from potstill.engine.uniforms import Uniforms
from potstill.lm.context import Context
from potstill.types import SamplingParams


class Draft(NamedTuple):
    """Tokens that may come next in a row, and how likely each is to its drafter, given those before it.

    One that `is_whole` is run whole or not at all, as far as a step has room: its drafter learns from what is
    drawn at all its places.
    """

    token_ids: tuple[int, ...] = ()
    probs: tuple[float, ...] = ()
    is_whole: bool = False

    def cut(self, num_tokens: int) -> "Draft":
        """The first of its tokens."""
        return self._replace(token_ids=self.token_ids[:num_tokens], probs=self.probs[:num_tokens])

    def num_kept(self, drawn_ids: Sequence[int]) -> int:
        """How many of its tokens, from the first on, are what was drawn after each of its beginnings."""
        both = zip(self.token_ids, drawn_ids, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))


class DraftRequest(NamedTuple):
    """One text whose next tokens are wanted.

    text_id      the same for as long as the text is written, no other's until `Drafter.forget`
    most_tokens  >= 1
    least_prob   the draft ends with the token at which the product of its `probs` falls under this
    uniforms     the number at position i draws output token i of the target: a drafter that draws uses the
                 same, so that it draws what the target will where their distributions agree
    """

    text_id: int
    context: Context
    most_tokens: int
    least_prob: float
    sampling: SamplingParams
    uniforms: Uniforms


class Drafter(Protocol):
    """A `NextTokenModel` in a form that is fast at guessing; whatever it guesses, texts stay the same."""

    @property
    def vocab_size(self) -> int: ...

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        """A draft for each, empty where nothing is known. A text may have lost tokens, or grown by many,
        since it was asked about last."""
        ...

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None:
        """What the target drew after each beginning of a draft, [len(draft) + 1]: those behind the first
        that differs from the draft were drawn after tokens that are not in the text."""
        ...

    def forget(self, text_id: int) -> None:
        """The text is written no more; nothing happens where it was never asked about."""
        ...
