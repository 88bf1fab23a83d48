"""Prompt lookup: what followed the last few tokens when they stood in the text before. No torch here.

Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding: for n = 3 … 1 the last n tokens are looked for in
prompt and output, and what followed is copied. There the first place counts, here the latest, of which more
is kept, and the place is looked for anew at every token of a draft.
"""

from collections.abc import Sequence

import numpy as np

from potstill.engine.drafts.beliefs import belief, even_but_for, prob_of
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.followed_text import FollowedText
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.errors import ConfigError
from potstill.lm.context import Context

_NOWHERE = -1
# A match this long is as good as certain; how much longer it is does not matter.
_LONG = 32


def num_alike(ids: Sequence[int], end: int) -> int:
    """How many tokens before ids[end] are the last tokens of `ids`, counted up to a limit."""
    length, most = 0, min(end, _LONG)
    while length < most and ids[end - length - 1] == ids[-length - 1]:
        length += 1
    return length


class PromptLookupModel:
    """The definition, a `NextTokenModel`: it looks through the whole text at every token.

    The last n tokens are looked for, n = longest … 1, and of the latest place where they stand the token that
    followed has the belief of all that is alike before it. The rest is shared evenly by all tokens; where
    nothing matches that is everything.
    """

    def __init__(self, vocab_size: int, longest: int = 3) -> None:
        self.vocab_size, self.longest = vocab_size, longest

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        return np.stack([self._row(context.token_ids) for context in contexts])

    def _row(self, ids: tuple[int, ...]) -> np.ndarray:
        for length in range(min(self.longest, len(ids) - 1), 0, -1):
            for end in range(len(ids) - 1, length - 1, -1):
                if ids[end - length : end] == ids[-length:]:
                    return even_but_for(self.vocab_size, {ids[end]: belief(1, 1, num_alike(ids, end))})
        return even_but_for(self.vocab_size, {})


class NgramFollowers:
    """What followed each n-gram of a growing text last, n = 1 … longest; a token more is O(longest)."""

    def __init__(self, vocab_size: int, longest: int) -> None:
        self._ids: list[int] = []
        # An n-gram is kept as one number, its tokens being digits to the base V.
        self._weights = [vocab_size**n for n in range(longest)]
        self._places: list[dict[int, int]] = [{} for _ in range(longest)]
        self._replaced: list[list[int]] = [[] for _ in range(longest)]

    def push(self, token_id: int) -> None:
        at = len(self._ids)
        for places, replaced, key in zip(self._places, self._replaced, self._keys(), strict=False):
            replaced.append(places.get(key, _NOWHERE))
            places[key] = at
        self._ids.append(token_id)

    def pop(self) -> None:
        """Take the last token back; there must be one."""
        self._ids.pop()
        for places, replaced, key in zip(self._places, self._replaced, self._keys(), strict=False):
            place = replaced.pop()
            if place == _NOWHERE:
                del places[key]
            else:
                places[key] = place

    @property
    def num_ngrams(self) -> int:
        """That are remembered, of all lengths."""
        return sum(map(len, self._places))

    def follower(self) -> tuple[int, int] | None:
        """What followed the most tokens that match, and how many before it are alike; None where none are."""
        keys = self._keys()
        for length in range(len(keys), 0, -1):
            place = self._places[length - 1].get(keys[length - 1])
            if place is not None:
                return self._ids[place], num_alike(self._ids, place)
        return None

    def _keys(self) -> list[int]:
        """Of the last 1, 2, … tokens, as far as there are so many."""
        keys, key = [], 0
        for weight, token_id in zip(self._weights, reversed(self._ids), strict=False):
            key += token_id * weight
            keys.append(key)
        return keys


class PromptLookup:
    """A drafter that asks no model. A text costs memory as it grows, about 0.2 KiB a token."""

    def __init__(self, vocab_size: int, longest: int = 3) -> None:
        """`longest` >= 1: the most tokens that are looked for."""
        if longest < 1:
            raise ConfigError(f"longest is {longest}; prompt lookup looks for at least one token.")
        self.vocab_size, self.longest = vocab_size, longest
        self._texts: dict[int, FollowedText[NgramFollowers]] = {}

    @property
    def definition(self) -> PromptLookupModel:
        return PromptLookupModel(self.vocab_size, self.longest)

    @property
    def num_texts(self) -> int:
        """That are remembered."""
        return len(self._texts)

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        return [self._draft(request) for request in requests]

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None:
        """The next context tells what was kept."""

    def forget(self, text_id: int) -> None:
        self._texts.pop(text_id, None)

    def _draft(self, request: DraftRequest) -> Draft:
        text = self._texts.get(request.text_id)
        if text is None:
            text = FollowedText(NgramFollowers(self.vocab_size, self.longest))
            self._texts[request.text_id] = text
        text.go_to(request.context)
        followers, draft = text.kept, GrowingDraft(request)
        while not draft.is_full and (found := followers.follower()) is not None:
            token_id, length = found
            believed = belief(1, 1, length)
            draft.add(token_id, prob_of(believed, believed, self.vocab_size))
            followers.push(token_id)
        for _ in range(draft.num_tokens):
            followers.pop()
        return draft.taken()
