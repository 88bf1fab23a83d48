"""∞-gram drafts: what followed the longest suffix found in an index or earlier in the text. No torch here.

The ∞-gram is that of Liu et al. 2024, arXiv:2401.17377. Text and corpus are weighed by the lengths of their
matches as in SAM-Decoding (Hu et al. 2024, arXiv:2411.10666), which copies one place; here all places count.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from potstill.engine.drafts.beliefs import belief, even_but_for, is_favourite, prob_of
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.followed_text import FollowedText
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.engine.drafts.index_matches import IndexMatches
from potstill.engine.drafts.text_matches import LONGEST_MATCH, TextMatches
from potstill.errors import ConfigError
from potstill.lm.context import Context
from potstill.lm.infinigram import InfinigramModel

if TYPE_CHECKING:
    from potstill.index.reader import Index

# Measured as docs/speculation.md tells.
BIAS = 2
BUDGET = 64


class InfinigramDraftModel:
    """The definition, a `NextTokenModel`: it looks through the whole text and asks the index at every token.

    The index decides where its match is longer than the text's by more than `bias` tokens, else the text.
    What is not believed of the tokens that followed, all tokens share evenly.
    """

    def __init__(
        self, vocab_size: int, index: "Index | None", *, longest: int, bias: int, budget: int
    ) -> None:
        self.vocab_size, self.index = vocab_size, index
        self.longest, self.bias, self.budget = longest, bias, budget
        self._model = None if index is None else InfinigramModel(index, vocab_size)

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        return np.stack([self._row(context.token_ids) for context in contexts])

    def _row(self, ids: tuple[int, ...]) -> np.ndarray:
        length, counts = _text_followers(ids, self.longest)
        total = sum(counts.values())
        if self._model is not None:
            found = self._model.followers(ids, budget=self.budget)
            if found.suffix_len - self.bias > length:
                length, total = found.suffix_len - self.bias, max(found.total, int(found.counts.sum()))
                counts = Counter(dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)))
        beliefs = {token_id: belief(count, total, length) for token_id, count in counts.items()}
        return even_but_for(self.vocab_size, beliefs)


def _text_followers(ids: tuple[int, ...], longest: int) -> tuple[int, Counter[int]]:
    """The longest suffix that stood in the text before, of at most `longest` tokens, and what followed it."""
    for length in range(min(longest, len(ids) - 1), 0, -1):
        ends = range(length, len(ids))
        counts = Counter(ids[end] for end in ends if ids[end - length : end] == ids[-length:])
        if counts:
            return length, counts
    return 0, Counter()


class _Text:
    """One text: what stood in it before, and what an index knows of its end."""

    def __init__(self, longest: int, index: IndexMatches | None) -> None:
        self.matches = TextMatches(longest)
        self.index = index
        self._followed = FollowedText(self.matches)

    def go_to(self, context: Context) -> None:
        change = self._followed.go_to(context)
        if self.index is not None:
            self.index.go_to(change, context)


class InfinigramDraft:
    """A drafter that asks no model. A text costs memory as it grows, about 0.5 KiB a token."""

    def __init__(
        self,
        vocab_size: int,
        index: "Index | None" = None,
        *,
        longest: int = LONGEST_MATCH,
        bias: int = BIAS,
        budget: int = BUDGET,
    ) -> None:
        """Without an index the text so far is all that is known.

        longest  >= 1 tokens that are matched in the text; an index matches without a limit
        bias     >= 0 tokens by which an index has to match more than the text to decide
        budget   >= 2 places of a suffix in an index that are looked at

        UsageError for an index that names more tokens than the model.
        """
        for name, value, least in (("longest", longest, 1), ("bias", bias, 0), ("budget", budget, 2)):
            if value < least:
                raise ConfigError(f"{name} is {value}; ∞-gram drafts need at least {least}.")
        self.vocab_size, self.index = vocab_size, index
        self._longest, self._bias, self._budget = longest, bias, budget
        self._model = None if index is None else InfinigramModel(index, vocab_size)
        self._texts: dict[int, _Text] = {}

    @property
    def definition(self) -> InfinigramDraftModel:
        return InfinigramDraftModel(
            self.vocab_size, self.index, longest=self._longest, bias=self._bias, budget=self._budget
        )

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
            index = None if self._model is None else IndexMatches(self._model, self._budget)
            text = self._texts[request.text_id] = _Text(self._longest, index)
        text.go_to(request.context)
        draft, index = GrowingDraft(request), None if text.index is None else text.index.copy()
        while not draft.is_full and (guess := self._guess(text.matches, index)) is not None:
            token_id, prob = guess
            draft.add(token_id, prob)
            text.matches.push(token_id)
            if index is not None:
                index.push(token_id)
        for _ in range(draft.num_tokens):
            text.matches.pop()
        return draft.taken()

    def _guess(self, matches: TextMatches, index: IndexMatches | None) -> tuple[int, float] | None:
        """The likeliest token and its probability; None where none stands out."""
        found = matches.match()
        if index is not None and index.length - self._bias > found.length:
            return self._guess_of_index(index)
        if not found.counts:
            return None
        total = sum(found.counts.values())
        token_id, count = min(found.counts.items(), key=lambda each: (-each[1], each[0]))
        return self._stands_out(token_id, count, total, total, found.length)

    def _guess_of_index(self, index: IndexMatches) -> tuple[int, float] | None:
        found = index.match()
        if found is None:
            return None
        length = found.length - self._bias
        return self._stands_out(found.token_id, found.num_after, found.num_seen, found.total, length)

    def _stands_out(
        self, token_id: int, num_after: int, num_seen: int, total: int, length: int
    ) -> tuple[int, float] | None:
        believed = belief(num_seen, total, length)
        prob = prob_of(belief(num_after, total, length), believed, self.vocab_size)
        return (token_id, prob) if is_favourite(prob, self.vocab_size) else None
