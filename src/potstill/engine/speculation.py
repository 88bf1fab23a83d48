"""Which tokens are guessed of the texts in the coming step, and what is learnt from those drawn instead.

A token that is drawn hangs on the tokens before it, the row's settings and the uniform number of its
position, whatever was guessed: so guesses are kept as far as they equal what is drawn, and a text is the same
with and without them (Daliri et al. 2024, arXiv:2408.07978). What a constraint forces is a guess that is
always right. No torch here.
"""

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import takewhile
from time import perf_counter

from potstill.engine.draft_length import MOST_DRAFTED, DraftLength
from potstill.engine.drafts.draft import Draft, Drafter, DraftRequest
from potstill.engine.payoff import Payoff, TextPayoff
from potstill.engine.sequence import NO_DRAFT, Sequence
from potstill.errors import UsageError

# Of a long piece that a grammar leaves no choice about, what is run in one step.
_MOST_FORCED = 64


@dataclass(slots=True)
class _Guessed:
    """What is known of a text's drafts. The first `num_forced` tokens of its last are sure; `passed_over` is
    what else was guessed and not worth running."""

    length: DraftLength = field(default_factory=DraftLength)
    payoff: TextPayoff = field(default_factory=TextPayoff)
    num_forced: int = 0
    passed_over: Draft = NO_DRAFT


class Speculation:
    """Asks a drafter, which it has to itself, and constraints. Guesses that are no tokens are left out.

    `clock` tells seconds. While it stands still guesses cost nothing, and all are run.
    """

    def __init__(
        self,
        drafter: Drafter | None,
        vocab_size: int,
        eos_ids: frozenset[int],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        if drafter is not None and drafter.vocab_size != vocab_size:
            raise UsageError(
                f"The draft has a vocabulary of {drafter.vocab_size:,} tokens and the model one of "
                f"{vocab_size:,}. Draft with a model of the same tokenizer."
            )
        self._drafter, self._vocab_size, self._eos_ids = drafter, vocab_size, eos_ids
        self._clock, self.payoff = clock, Payoff()
        self._texts: dict[int, _Guessed] = {}
        # Of the current step.
        self._has_asked, self._draft_s, self._num_drafted, self._num_kept = False, 0.0, 0, 0
        self._had_no_memory = False

    def draft(self, rows: Many[Sequence], num_rows: int) -> None:
        """Give each row its guesses for the coming step, in place of any it has.

        `num_rows` write in it, those of searches included.
        """
        for row in rows:
            row.draft, text = self._forced(row), self._text(row)
            text.num_forced, text.passed_over = len(row.draft.token_ids), NO_DRAFT
        self._has_asked, self._num_drafted, self._num_kept, self._had_no_memory = False, 0, 0, False
        if self._drafter is not None and rows and self.payoff.is_asked(num_rows):
            self._ask(self._drafter, rows, num_rows)

    def num_forced(self, row: Sequence) -> int:
        """How many tokens at the beginning of its draft are sure."""
        return min(self._text(row).num_forced, len(row.draft.token_ids))

    def learn(self, row: Sequence, drawn_ids: Many[int]) -> None:
        """What was drawn after each beginning of its draft, the empty one first."""
        if self._drafter is None:
            return
        text, num_forced = self._text(row), self.num_forced(row)
        drawn_ids = drawn_ids[num_forced:]
        first, text.passed_over = text.passed_over.cut(1), NO_DRAFT
        if first.token_ids and num_forced == text.num_forced:
            # What it would have been worth costs nothing to see.
            self.payoff.learn(text.payoff, first.probs, int(first.token_ids[0] == drawn_ids[0]))
        draft = Draft(row.draft.token_ids[num_forced:], row.draft.probs[num_forced:])
        if not draft.token_ids:
            return
        num_kept = draft.num_kept(drawn_ids)
        self._num_drafted += len(draft.token_ids)
        self._num_kept += num_kept
        text.length.learn(draft.probs, num_kept)
        self.payoff.learn(text.payoff, draft.probs, num_kept)
        self._drafter.observe(row.sequence_id, draft, drawn_ids)

    def note_step(self, num_rows: int, num_positions: int, seconds: float) -> None:
        """The step is over: so many rows that write ran so many positions, and nothing else did."""
        if self._drafter is None or self._had_no_memory:
            return
        self.payoff.cost.note(num_positions, seconds)
        if self._has_asked:
            self.payoff.note_drafts(num_rows, self._num_drafted, self._num_kept, self._draft_s)

    def note_no_memory(self) -> None:
        """The step found memory only once its guesses were left out."""
        self._had_no_memory = True
        self.payoff.pause()

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
        text = self._texts.get(row.sequence_id)
        if text is None:
            text = self._texts[row.sequence_id] = _Guessed()
        return text

    def _forced(self, row: Sequence) -> Draft:
        if row.constraint is None:
            return NO_DRAFT
        token_ids = self._before_end(row.constraint.forced()[: min(_MOST_FORCED, _room(row))])
        return Draft(token_ids, (1.0,) * len(token_ids))

    def _ask(self, drafter: Drafter, rows: Many[Sequence], num_rows: int) -> None:
        asked = [row for row in rows if _room(row) > len(row.draft.token_ids)]
        asked = [row for row in asked if self._text(row).payoff.is_asked(len(row.output_ids))]
        if not asked:
            return
        num_allowed = self.payoff.most_drafted(num_rows)
        asked = asked[:num_allowed]
        most = num_allowed // len(asked)
        started = self._clock()
        drafts = drafter.propose([self._request(row, most) for row in asked])
        self._has_asked, self._draft_s = True, self._clock() - started
        guesses = [self._sound(row, draft.cut(most)) for row, draft in zip(asked, drafts, strict=True)]
        if num_drafted := sum(len(guess.token_ids) for guess in guesses):
            price = self.payoff.price(num_rows, num_drafted)
            for row, guess in zip(asked, guesses, strict=True):
                self._append(row, guess, price)

    def _request(self, row: Sequence, most: int) -> DraftRequest:
        return DraftRequest(
            text_id=row.sequence_id,
            context=row.drafted_context,
            most_tokens=min(most, self._most_guessed(row)),
            least_prob=self._text(row).length.threshold,
            sampling=row.sampling,
            uniforms=row.uniforms,
        )

    def _sound(self, row: Sequence, guessed: Draft) -> Draft:
        """As much of what was guessed as may follow what is forced."""
        most = min(self._most_guessed(row), len(guessed.probs))
        token_ids = self._before_end(guessed.token_ids[:most])
        if row.constraint is not None and token_ids:
            num_forced = len(row.draft.token_ids)
            num_valid = row.constraint.num_valid(row.draft.token_ids + token_ids)
            token_ids = token_ids[: max(num_valid - num_forced, 0)]
        return Draft(token_ids, tuple(guessed.probs[: len(token_ids)]), guessed.is_whole)

    def _append(self, row: Sequence, guess: Draft, price: float) -> None:
        """Let the guesses that are worth their price follow what is forced."""
        text = self._text(row)
        chances = [self.payoff.chances.of(prob) for prob in guess.probs]
        num_worth = text.payoff.num_worth(chances, price, len(row.output_ids), is_whole=guess.is_whole)
        worth = guess.cut(num_worth)
        if not worth.token_ids:
            text.passed_over = guess
        row.draft = Draft(row.draft.token_ids + worth.token_ids, row.draft.probs + worth.probs)

    def _most_guessed(self, row: Sequence) -> int:
        return min(MOST_DRAFTED, _room(row) - len(row.draft.token_ids))

    def _before_end(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """What comes before an end of the text: to guess an end saves nothing."""
        return tuple(takewhile(self._goes_on, token_ids))

    def _goes_on(self, token_id: int) -> bool:
        return 0 <= token_id < self._vocab_size and token_id not in self._eos_ids


def _room(row: Sequence) -> int:
    """Tokens that may be guessed: one is drawn after them."""
    return row.sampling.max_tokens - len(row.output_ids) - 1
