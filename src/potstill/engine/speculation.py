"""Which tokens are guessed of the texts in the coming step, and what is learnt from those drawn instead.

A token that is drawn hangs on the tokens before it, the row's settings and the uniform number of its
position, whatever was guessed: so guesses are kept as far as they equal what is drawn, and a text is the same
with and without them (Daliri et al. 2024, arXiv:2408.07978). What a constraint forces is a guess that is
always right. No torch here.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import takewhile

from potstill.engine.draft_length import MOST_DRAFTED, DraftLength
from potstill.engine.drafts.draft import Draft, Drafter, DraftRequest
from potstill.engine.sequence import NO_DRAFT, Sequence
from potstill.errors import UsageError

# Of a long piece that a grammar leaves no choice about, what is run in one step.
_MOST_FORCED = 64


@dataclass(slots=True)
class _Guessed:
    """What is known of a text's drafts; the first `num_forced` tokens of its last are sure."""

    length: DraftLength = field(default_factory=DraftLength)
    num_forced: int = 0


class Speculation:
    """Asks a drafter, which it has to itself, and constraints. Guesses that are no tokens are left out."""

    def __init__(self, drafter: Drafter | None, vocab_size: int, eos_ids: frozenset[int]) -> None:
        if drafter is not None and drafter.vocab_size != vocab_size:
            raise UsageError(
                f"The draft has a vocabulary of {drafter.vocab_size:,} tokens and the model one of "
                f"{vocab_size:,}. Draft with a model of the same tokenizer."
            )
        self._drafter, self._vocab_size, self._eos_ids = drafter, vocab_size, eos_ids
        self._texts: dict[int, _Guessed] = {}

    def draft(self, rows: Many[Sequence]) -> None:
        """Give each row its guesses for the coming step, in place of any it has."""
        for row in rows:
            row.draft = self._forced(row)
            self._text(row).num_forced = len(row.draft.token_ids)
        if self._drafter is not None:
            self._ask(self._drafter, rows)

    def num_forced(self, row: Sequence) -> int:
        """How many tokens at the beginning of its draft are sure."""
        return min(self._text(row).num_forced, len(row.draft.token_ids))

    def learn(self, row: Sequence, drawn_ids: Many[int]) -> None:
        """What was drawn after each beginning of its draft, the empty one first."""
        text, num_forced = self._text(row), self.num_forced(row)
        draft = Draft(row.draft.token_ids[num_forced:], row.draft.probs[num_forced:])
        if self._drafter is None or not draft.token_ids:
            return
        drawn_ids = drawn_ids[num_forced:]
        both = zip(draft.token_ids, drawn_ids, strict=False)
        num_kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
        text.length.learn(draft.probs, num_kept)
        self._drafter.observe(row.sequence_id, draft, drawn_ids)

    def forget(self, row: Sequence) -> None:
        """It is written no more."""
        if self._texts.pop(row.sequence_id, None) is not None and self._drafter is not None:
            self._drafter.forget(row.sequence_id)

    def forget_all(self) -> None:
        for text_id in self._texts:
            if self._drafter is not None:
                self._drafter.forget(text_id)
        self._texts.clear()

    def _text(self, row: Sequence) -> _Guessed:
        return self._texts.setdefault(row.sequence_id, _Guessed())

    def _forced(self, row: Sequence) -> Draft:
        if row.constraint is None:
            return NO_DRAFT
        token_ids = self._before_end(row.constraint.forced()[: min(_MOST_FORCED, _room(row))])
        return Draft(token_ids, (1.0,) * len(token_ids))

    def _ask(self, drafter: Drafter, rows: Many[Sequence]) -> None:
        asked = [row for row in rows if _room(row) > len(row.draft.token_ids)]
        if not asked:
            return
        drafts = drafter.propose([self._request(row) for row in asked])
        for row, draft in zip(asked, drafts, strict=True):
            self._append(row, draft)

    def _request(self, row: Sequence) -> DraftRequest:
        return DraftRequest(
            text_id=row.sequence_id,
            context=row.drafted_context,
            most_tokens=min(MOST_DRAFTED, _room(row) - len(row.draft.token_ids)),
            least_prob=self._text(row).length.threshold,
            sampling=row.sampling,
            uniforms=row.uniforms,
        )

    def _append(self, row: Sequence, guessed: Draft) -> None:
        """Let guesses follow what is forced, as far as they may come next."""
        most = min(MOST_DRAFTED, _room(row) - len(row.draft.token_ids), len(guessed.probs))
        token_ids = row.draft.token_ids + self._before_end(guessed.token_ids[:most])
        if row.constraint is not None and token_ids:
            token_ids = token_ids[: row.constraint.num_valid(token_ids)]
        row.draft = Draft(token_ids, (row.draft.probs + tuple(guessed.probs))[: len(token_ids)])

    def _before_end(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """What comes before an end of the text: to guess an end saves nothing."""
        return tuple(takewhile(self._goes_on, token_ids))

    def _goes_on(self, token_id: int) -> bool:
        return 0 <= token_id < self._vocab_size and token_id not in self._eos_ids


def _room(row: Sequence) -> int:
    """Tokens that may be guessed: one is drawn after them."""
    return row.sampling.max_tokens - len(row.output_ids) - 1
