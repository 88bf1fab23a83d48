"""What the texts of a lexical search may go on with: candidates that can still come to hold all clauses.

No torch here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

from potstill.constraints.lexical import LexicalState
from potstill.engine.looked_at import Continuations
from potstill.engine.sequence import StopRule


@dataclass(frozen=True, slots=True)
class LexicalBeam:
    """A live text; `score` and `logprob` are sums over its tokens, in nats, as in a beam search."""

    token_ids: tuple[int, ...]
    score: float
    logprob: float
    stop: StopRule
    state: LexicalState


class Candidate(NamedTuple):
    """The live text at `parent` with one token more; an EOS leaves the state as it is."""

    parent: int
    token_id: int
    score: float
    logprob: float
    state: LexicalState
    is_eos: bool


class Room(NamedTuple):
    """How strict the choice is: tokens left after this one, and what is let through where nothing better is.

    Level 0 asks that all clauses can hold in the end, 1 that none is broken, 2 nothing.
    """

    num_left: int
    level: int = 0

    def has_place_for(self, state: LexicalState, *, is_end: bool) -> bool:
        if self.level == 2:
            return True
        if state.is_broken:
            return False
        if is_end or self.num_left == 0:
            return state.can_end or self.level == 1 and not is_end
        return self.level == 1 or state.fits(self.num_left)


class Candidates:
    """Made anew for every step of a search."""

    def __init__(
        self,
        live: Sequence[LexicalBeam],
        found: Sequence[Continuations],
        rows: Sequence[int],
        eos_ids: frozenset[int],
        width: int,
    ) -> None:
        """Of the `live` texts only those at `rows` go on."""
        self._live, self._found, self._rows = live, found, rows
        self._eos_ids, self._width = eos_ids, width

    def best(self, num_left: int, prune_factor: int | None) -> list[Candidate]:
        """Those to choose from, the best first: at the strictest level that leaves any."""
        for level in range(3):
            kept = self._kept(Room(num_left, level), prune_factor)
            if kept:
                return kept
        return []

    def _kept(self, room: Room, prune_factor: int | None) -> list[Candidate]:
        """The best of all; of each text its own best and those that advance a phrase, as far as their rank
        among all tokens of this step allows."""
        everyone = sorted(
            (one for row in self._rows for one in self._of_row(row, room)),
            key=lambda one: -one.score,
        )
        bound = self._bound(prune_factor)
        return [one for place, one in enumerate(everyone) if place < self._width or one.score > bound]

    def _of_row(self, row: int, room: Room) -> Iterator[Candidate]:
        parent, found = self._live[row], self._found[row]
        advancing = set(parent.state.advancing())
        seen: set[int] = set()
        num_own = 0
        for token_id, score, logprob in zip(found.token_ids, found.scores, found.logprobs, strict=True):
            if token_id in seen or score == -math.inf:
                continue
            if num_own >= self._width and token_id not in advancing and token_id not in self._eos_ids:
                continue
            seen.add(token_id)
            is_eos = token_id in self._eos_ids
            state = parent.state if is_eos else parent.state.after(token_id)
            if room.has_place_for(state, is_end=is_eos):
                num_own += 1
                yield Candidate(row, token_id, parent.score + score, parent.logprob + logprob, state, is_eos)

    def _bound(self, prune_factor: int | None) -> float:
        """The score of the rank from which on candidates are left out; equals have one rank."""
        if prune_factor is None:
            return -math.inf
        totals = {self._live[row].score + score for row in self._rows for score in self._found[row].scores}
        ranked = nlargest(prune_factor, totals)
        return ranked[-1] if len(ranked) == prune_factor else -math.inf
