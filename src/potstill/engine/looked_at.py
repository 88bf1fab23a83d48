"""What a search asks about the next token of one of its texts. No torch here."""

from collections.abc import Sequence
from typing import NamedTuple


class LookedAt(NamedTuple):
    """The likeliest tokens, so many of them, and some by name; the same after each of the tokens that are
    guessed to follow."""

    num_likeliest: int
    token_ids: tuple[int, ...] = ()
    guessed_ids: tuple[int, ...] = ()


class Continuations(NamedTuple):
    """A live text's likeliest next tokens by falling score, then those asked for by name; some come twice.

    `scores` are what the search goes by, `logprobs` the model's own; -inf is allowed, NaN is not. `then` is
    what may come after each of the guessed tokens.
    """

    token_ids: Sequence[int]
    scores: Sequence[float]
    logprobs: Sequence[float]
    then: tuple["Continuations", ...] = ()
