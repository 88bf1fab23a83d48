"""Beam search for one prompt: which texts live on, which have ended, when no better one is to come.

Scores in, choices out; no torch and no model here. It follows what transformers does: a text's score is the
sum of its tokens' log-probabilities divided by (number of its tokens) ** length_penalty, where the prompt and
a decoder's start do not count and an EOS does. Of one step's continuations in falling order, those that end
and stand among the first `num_beams` are kept as finished; the first `num_beams` that do not end live on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from math import inf
from typing import NamedTuple

from potstill.engine.looked_at import Continuations, LookedAt
from potstill.engine.sequence import StopRule
from potstill.types import FinishReason, SamplingParams


class BeamParams(NamedTuple):
    """`early_stopping` ends the search once `num_beams` texts are finished, better ones to come or not."""

    num_beams: int
    max_tokens: int
    length_penalty: float = 1.0
    early_stopping: bool = False
    eos_ids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, asked: SamplingParams, eos_ids: frozenset[int]) -> "BeamParams":
        return cls(asked.num_beams, asked.max_tokens, asked.length_penalty, asked.early_stopping, eos_ids)

    @property
    def num_looked_at(self) -> int:
        """Continuations of each live text that have to be known: enough, were all that can end to end."""
        return (1 + max(1, len(self.eos_ids))) * self.num_beams


@dataclass(frozen=True, slots=True)
class Beam:
    """A live text. `score` and `logprob` are sums over its tokens, in nats.

    They differ where repetition is penalised: the search goes by `score`, `logprob` is the model's own.
    """

    token_ids: tuple[int, ...]
    score: float
    logprob: float
    stop: StopRule


class Hypothesis(NamedTuple):
    """A finished text; `score` is divided by the length, `logprob` is the plain sum."""

    token_ids: tuple[int, ...]
    score: float
    logprob: float
    finish_reason: FinishReason
    stop: StopRule


class Fork(NamedTuple):
    """The live text at `parent` goes on with `token_id`."""

    parent: int
    token_id: int


class BeamSearch:
    """Begins with one live text without tokens; `advance` is called while it is not finished."""

    def __init__(self, params: BeamParams, stop: StopRule) -> None:
        self.params = params
        self.live: list[Beam] = [Beam((), 0.0, 0.0, stop)]
        self.is_finished = False
        self._finished: list[Hypothesis] = []
        self._num_tokens = 0

    @property
    def most_guessed(self) -> int:
        return 0

    def looked_at(self, place: int) -> LookedAt:
        """What has to be known of the live text at `place`: the same of all."""
        return LookedAt(self.params.num_looked_at)

    def advance(self, found: Sequence[Continuations]) -> list[Fork]:
        """Take a step, told what each live text may go on with: how the new ones come from them, in order."""
        self._num_tokens += 1
        is_last = self._num_tokens == self.params.max_tokens
        forks: list[Fork] = []
        grown: list[Beam] = []
        for rank, (fork, beam) in enumerate(self._ranked(found)):
            if len(grown) == self.params.num_beams or (is_last and rank >= self.params.num_beams):
                break
            if fork.token_id in self.params.eos_ids or beam.stop.push(fork.token_id):
                self._finish(beam, "stop", rank)
            elif is_last:
                self._finish(beam, "length", rank)
            else:
                forks.append(fork)
                grown.append(beam)
        self.live = grown
        self._keep_best()
        self.is_finished = not grown or self._is_settled(grown[0].score)
        return forks

    def best(self, count: int) -> list[Hypothesis]:
        """The best finished texts, the best first; fewer where the model allows fewer."""
        return self._finished[:count]

    def _ranked(self, found: Sequence[Continuations]) -> Iterator[tuple[Fork, Beam]]:
        """Every continuation in falling order of its score; of equals, the better parent's first."""
        both = zip(self.live, found, strict=True)
        heads = [(-parent.score - one.scores[0], row, 0) for row, (parent, one) in enumerate(both)]
        heapify(heads)
        while heads and heads[0][0] < inf:
            negative_score, row, column = heads[0]
            parent, one = self.live[row], found[row]
            token_id = one.token_ids[column]
            logprob = parent.logprob + one.logprobs[column]
            beam = Beam((*parent.token_ids, token_id), -negative_score, logprob, parent.stop.fork())
            yield Fork(row, token_id), beam
            if column + 1 < len(one.scores):
                heapreplace(heads, (-parent.score - one.scores[column + 1], row, column + 1))
            else:
                heappop(heads)

    def _finish(self, beam: Beam, reason: FinishReason, rank: int) -> None:
        # One that ends but is not among the best continuations stays out, as elsewhere: it would be an end
        # that the search itself would never have followed.
        if rank < self.params.num_beams:
            score = self._by_length(beam.score)
            self._finished.append(Hypothesis(beam.token_ids, score, beam.logprob, reason, beam.stop))

    def _keep_best(self) -> None:
        self._finished.sort(key=lambda hypothesis: -hypothesis.score)
        del self._finished[self.params.num_beams :]

    def _is_settled(self, best_live_score: float) -> bool:
        """Whether enough texts are finished and the best live one, ended now, would not be among them."""
        if len(self._finished) < self.params.num_beams:
            return False
        return self.params.early_stopping or self._by_length(best_live_score) <= self._finished[-1].score

    def _by_length(self, score: float) -> float:
        length: float = float(self._num_tokens) ** self.params.length_penalty
        return score / length
