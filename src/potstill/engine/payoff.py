"""Whether guesses are worth running, by what steps cost and what was kept. No torch here.

In a step of B texts a token costs t(B) / B seconds, and a guess, kept or not, what t grows by. So a guess is
run where the chance that it is kept is well above its price, the second over the first.
"""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate, takewhile
from operator import mul
from statistics import median

from potstill.engine.step_cost import StepCost

# Chances are learnt for claims that fall into the same tenth.
_NUM_CLAIMS = 10
# A drafter's own word counts as much as so many guesses, and a guess is forgotten by and by.
_TRUST, _FORGETTING = 8.0, 0.98
_TEXT_TRUST, _TEXT_FORGETTING = 2.0, 0.9
# What is worth just its price gains nothing, and the clock may err.
_MARGIN = 1.2
_SHORTEST_REST, _LONGEST_REST = 1, 64
# The engine as a whole: a trial has so many steps, and ends when the time of so many plain steps is lost. A
# pause is so many times as long as what was lost, so that little is lost of the whole.
_TRIAL_STEPS, _MOST_LOST, _PAUSE_FOR_LOST = 32, 2.0, 50
_SHORTEST_PAUSE, _LONGEST_PAUSE = 64, 4096
# The first draft of a text may have all of it to read, and tells nothing by itself.
_DRAFTS_REMEMBERED, _ENOUGH_DRAFTS = 7, 3


class Rest:
    """How long something that did not pay is left alone: each time twice as long, up to a bound."""

    def __init__(self, shortest: int, longest: int) -> None:
        self._shortest, self._longest = shortest, longest
        self._next = shortest

    def begin(self) -> int:
        length, self._next = self._next, min(self._next * 2, self._longest)
        return length

    def has_paid(self) -> None:
        self._next = self._shortest


class Chances:
    """How often guesses were kept that a drafter gave such a probability, whichever text they were of."""

    def __init__(self) -> None:
        self._kept = [0.0] * _NUM_CLAIMS
        self._tried = [0.0] * _NUM_CLAIMS

    def of(self, prob: float) -> float:
        claim = _claim_of(prob)
        return (self._kept[claim] + _TRUST * (claim + 0.5) / _NUM_CLAIMS) / (self._tried[claim] + _TRUST)

    def learn(self, prob: float, *, is_kept: bool) -> None:
        claim = _claim_of(prob)
        self._kept[claim] = self._kept[claim] * _FORGETTING + is_kept
        self._tried[claim] = self._tried[claim] * _FORGETTING + 1


class TextPayoff:
    """What of one text's guesses was kept, beside what was to be expected of them."""

    def __init__(self) -> None:
        self._kept = self._expected = 0.0
        self._rest = Rest(_SHORTEST_REST, _LONGEST_REST)
        self._left_alone = 0

    def is_asked(self, num_written: int) -> bool:
        return num_written >= self._left_alone

    def num_worth(
        self, chances: Sequence[float], price: float, num_written: int, *, is_whole: bool = False
    ) -> int:
        """How many guesses, from the first on, are worth their price; where none is, the text rests.

        Of a draft that `is_whole` all or none.
        """
        luck = (self._kept + _TEXT_TRUST) / (self._expected + _TEXT_TRUST)
        kept = list(accumulate((min(chance * luck, 1.0) for chance in chances), mul))
        least = price * _MARGIN
        num_worth = sum(1 for _ in takewhile(lambda chance: chance >= least, kept))
        if is_whole:
            num_worth = len(kept) if sum(kept) >= least * len(kept) else 0
        if num_worth:
            self._rest.has_paid()
        elif chances:
            self._left_alone = num_written + self._rest.begin() + 1
        return num_worth

    def learn(self, num_kept: int, expected: float) -> None:
        self._kept = self._kept * _TEXT_FORGETTING + num_kept
        self._expected = self._expected * _TEXT_FORGETTING + expected


class Payoff:
    """The switch of a whole engine: prices, and a balance of the seconds that drafts have saved."""

    def __init__(self) -> None:
        self.cost, self.chances = StepCost(), Chances()
        self._pause = Rest(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        self._left_alone = 0
        self._draft_s: deque[float] = deque(maxlen=_DRAFTS_REMEMBERED)
        self._num_tried, self._num_lost = 0, 0.0

    def is_asked(self, num_rows: int) -> bool:
        """Whether drafts may be asked for in a step of so many rows."""
        self._left_alone = max(self._left_alone - 1, 0)
        return not self._left_alone and self.cost.knows(num_rows)

    def most_drafted(self, num_rows: int) -> int:
        """Guesses that may be run in all: a step is at most twice as large as any whose cost is known."""
        return max(int(2 * self.cost.greatest) - num_rows, 1)

    def price(self, num_rows: int, num_drafted: int) -> float:
        """What one of so many guesses costs, in tokens."""
        plain = self.cost.seconds(num_rows)
        more = self.cost.seconds(num_rows + num_drafted) - plain
        return max(more, 0.0) / num_drafted * num_rows / plain if plain > 0 else 0.0

    def learn(self, text: TextPayoff, probs: Sequence[float], num_kept: int) -> None:
        """So many of a text's guesses were kept, from the first on; the next was refused, if there is one."""
        expected = 0.0
        for index, prob in enumerate(probs[: num_kept + 1]):
            expected += self.chances.of(prob)
            self.chances.learn(prob, is_kept=index < num_kept)
        text.learn(num_kept, expected)

    def note_drafts(self, num_rows: int, num_drafted: int, num_kept: int, draft_s: float) -> None:
        """A step of so many rows had drafts, which took `draft_s` to make."""
        self._draft_s.append(draft_s)
        plain = self.cost.seconds(num_rows)
        if plain <= 0:
            return
        # In plain steps, of medians: a step that was held up says nothing about drafts.
        drafting_s = median(self._draft_s) if len(self._draft_s) >= _ENOUGH_DRAFTS else 0.0
        lost = drafting_s / plain - num_kept / num_rows
        if num_drafted:
            lost += self.price(num_rows, num_drafted) * num_drafted / num_rows
        self._num_lost, self._num_tried = self._num_lost + lost, self._num_tried + 1
        if self._num_lost > _MOST_LOST or (self._num_tried == _TRIAL_STEPS and self._num_lost > 0):
            self.pause()
        elif self._num_tried == _TRIAL_STEPS:
            self._pause.has_paid()
            self._begin_trial()

    def pause(self) -> None:
        """Ask for no drafts for a while: fifty times what was lost, and longer each time."""
        self._left_alone = max(self._pause.begin(), round(self._num_lost * _PAUSE_FOR_LOST)) + 1
        self._begin_trial()

    def _begin_trial(self) -> None:
        self._num_tried, self._num_lost = 0, 0.0


def _claim_of(prob: float) -> int:
    # In this order what is no number claims nothing.
    return min(int(min(max(0.0, prob), 1.0) * _NUM_CLAIMS), _NUM_CLAIMS - 1)
