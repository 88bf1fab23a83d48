"""A beam search as the engine runs it: a row for each live text, and how rows part after a step.

The rows of a search share a group: they run, wait and are put out together. Texts that part share their full
blocks; only the block half full is copied. No torch here.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Protocol

from potstill.engine.beam import Fork, Hypothesis
from potstill.engine.looked_at import Continuations, LookedAt
from potstill.engine.sequence import Sequence


class LiveText(Protocol):
    @property
    def token_ids(self) -> tuple[int, ...]: ...

    @property
    def logprob(self) -> float: ...


class Strategy(Protocol):
    """Which texts live on; `potstill.engine.beam.BeamSearch` is one. It begins with an empty text."""

    is_finished: bool

    @property
    def live(self) -> Many[LiveText]: ...

    @property
    def most_guessed(self) -> int:
        """Tokens at most that are guessed to follow a text, with the text none behind its last."""
        ...

    def looked_at(self, place: int) -> LookedAt:
        """What has to be known of the live text at `place` before the next `advance`."""
        ...

    def advance(self, found: Many[Continuations]) -> list[Fork] | None:
        """Told what each live text may go on with: how the new ones come from them, in order; None where it
        has to know more of the same ones first."""
        ...

    def best(self, count: int) -> list[Hypothesis]:
        """The best finished texts, the best first; fewer where the model allows fewer."""
        ...


class RowKeeper(Protocol):
    """Who gives rows their blocks; `potstill.engine.scheduler.Scheduler` does."""

    def retire(self, sequence: Sequence) -> None: ...

    def fork(self, parent: Sequence, child: Sequence) -> list[tuple[int, int]]:
        """Let `child`, which has the parent's tokens, run beside it; blocks (source, target) to be copied."""
        ...


@dataclass(slots=True, eq=False)
class Search:
    """`rows` are the live texts, the best first. `told` is always one of them: the engine hands it over.

    `looks` holds what was seen in this step; a step that memory cuts into calls fills it call by call.
    """

    told: Sequence
    beams: Strategy
    rows: list[Sequence]
    looks: dict[Sequence, Continuations] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Sequence, strategy: Strategy) -> "Search":
        """`told` is a fresh sequence whose own stop rule never stops: the search decides when a text ends."""
        search = cls(told, strategy, [told])
        search._ask()
        return search

    @property
    def has_looked(self) -> bool:
        """Whether this step has run the last position of every row."""
        return len(self.looks) == len(self.rows)

    def advance(self, keeper: RowKeeper) -> list[tuple[int, int]]:
        """Let rows go on, part and end; blocks (source, target) to be copied before the next step."""
        forks = self.beams.advance([self.looks[row] for row in self.rows])
        self.looks.clear()
        if forks is None:
            return self._look_again()
        if self.beams.is_finished:
            self._tell(self.beams.best(self.told.sampling.n))
            return []
        pairs = self._part([fork.parent for fork in forks], keeper)
        for row, beam in zip(self.rows, self.beams.live, strict=True):
            row.take(beam.token_ids[-1], beam.logprob - row.logprob, is_eos=False)
        self._ask()
        return pairs

    def _look_again(self) -> list[tuple[int, int]]:
        """The last position of each row is run once more, and other tokens behind it."""
        for row in self.rows:
            row.num_cached -= 1
        self._ask()
        return []

    def _ask(self) -> None:
        for place, row in enumerate(self.rows):
            asked = self.beams.looked_at(place)
            if row.constraint is not None:
                num_valid = row.constraint.num_valid(asked.guessed_ids)
                asked = asked._replace(guessed_ids=asked.guessed_ids[:num_valid])
            row.looked_at = asked

    def _part(self, parents: Many[int], keeper: RowKeeper) -> list[tuple[int, int]]:
        """Rows for the texts that go on: the first child of each in its row, others in forks of it."""
        self._keep_told({self.rows[parent] for parent in parents})
        for index, row in enumerate(self.rows):
            if index not in parents:
                keeper.retire(row)
        pairs: list[tuple[int, int]] = []
        rows: list[Sequence] = []
        for place, parent in enumerate(parents):
            row = self.rows[parent]
            if parent in parents[:place]:
                child = row.fork()
                pairs += keeper.fork(row, child)
                row = child
            rows.append(row)
        self.rows = rows
        return pairs

    def _keep_told(self, surviving: set[Sequence]) -> None:
        """Where the text of `told` dies, it takes over another's."""
        if self.told in surviving:
            return
        dying, living = (
            self.rows.index(self.told),
            next(i for i, row in enumerate(self.rows) if row in surviving),
        )
        other = self.rows[living]
        self.told.exchange(other)
        self.rows[dying], self.rows[living] = other, self.told

    def _tell(self, best: Many[Hypothesis]) -> None:
        """Hand the finished texts over: the best as `told` itself, the next ones as its `others`."""
        self.told.others = [_finished(self.told.fork(), text) for text in best[1:]]
        _finished(self.told, best[0])


def _finished(sequence: Sequence, text: Hypothesis) -> Sequence:
    sequence.output_ids, sequence.logprob = list(text.token_ids), text.logprob
    sequence.score, sequence.stop, sequence.finish_reason = text.score, text.stop, text.finish_reason
    return sequence
