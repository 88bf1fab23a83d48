"""A draft while a model makes it, token by token or several in a step. No torch here."""

from collections.abc import Sequence as Many

from potstill.engine.drafted_row import DraftedRow, drafted_rows
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.engine.sequence import NO_DRAFT, Sequence


class Drafting:
    """The draft that `request` asks for. `sequence` is its text in the draft model's cache, with the draft so
    far; what somebody guesses for the draft model to check in its next step is the sequence's own draft."""

    def __init__(self, request: DraftRequest, sequence: Sequence, eos_ids: frozenset[int]) -> None:
        self.request, self.sequence = request, sequence
        self._eos_ids = eos_ids
        self._growing = GrowingDraft(request)
        self._is_ended = False

    @property
    def is_open(self) -> bool:
        return not (self._is_ended or self._growing.is_full)

    @property
    def draft(self) -> Draft:
        return self._growing.taken()

    @property
    def most_guesses(self) -> int:
        """One fewer than the tokens still wanted: a step draws one after the last guess, too."""
        return self.request.most_tokens - self._growing.num_tokens - 1

    @property
    def num_drawn(self) -> int:
        """Tokens that the next step draws."""
        return len(self.sequence.draft.token_ids) + 1

    @property
    def num_new(self) -> int:
        """Positions that the next step runs, guesses included."""
        return self.sequence.num_new + len(self.sequence.draft.token_ids)

    @property
    def cost(self) -> int:
        """Positions that the next step runs, those of an encoder included."""
        return self.num_new + (len(self.sequence.prompt_ids) if self.sequence.has_to_encode else 0)

    def rows(self) -> list[DraftedRow]:
        """What is drawn from in the next step, [num_drawn]."""
        return drafted_rows(self.sequence, self.num_drawn)

    def take(self, drawn_ids: Many[int], probs: Many[float]) -> None:
        """Go on by what was drawn after each beginning of the guesses, as far as those were right.

        All positions before the guesses are cached now, and so are the guesses.
        """
        sequence, guessed_ids = self.sequence, self.sequence.draft.token_ids
        sequence.num_cached, sequence.draft = sequence.num_positions, NO_DRAFT
        for place, (token_id, prob) in enumerate(zip(drawn_ids, probs, strict=True)):
            sequence.output_ids.append(token_id)
            sequence.ngram_ban.push(token_id)
            self._growing.add(token_id, prob)
            self._is_ended = token_id in self._eos_ids
            if place == len(guessed_ids) or guessed_ids[place] != token_id:
                return
            sequence.num_cached += 1
            if not self.is_open:
                return
