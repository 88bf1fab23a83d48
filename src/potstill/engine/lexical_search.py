"""NeuroLogic search: a beam search for texts that hold phrases (Lu et al. 2021, arXiv:2010.12884).

Scores in, choices out, as in `potstill.engine.beam`; no torch and no model here. A step's candidates are the
best of all tokens, each text's own best, and every token that goes on with a phrase that is still wanted.
Those that fall too far behind, in score or in clauses met, are dropped; the rest is grouped by the set of
clauses met, and the groups take turns to fill the beam, so that texts which have said more do not have to be
as likely as those which have said less. A text ends only where all clauses hold. What would leave too few
tokens for the phrases still wanted is no candidate, so in the end nothing but those phrases is.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from math import isfinite

from potstill.constraints.lexical import LexicalRules, LexicalState
from potstill.engine.beam import BeamParams, Fork, Hypothesis
from potstill.engine.lexical_candidates import Candidate, Candidates, LexicalBeam
from potstill.engine.lexical_lookahead import Rollouts, future, named_along
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.looked_at import Continuations, LookedAt
from potstill.engine.sequence import StopRule
from potstill.engine.stopping import WrittenText
from potstill.types import FinishReason

# Ranks are counted among so many of each text's likeliest tokens: to know more of them takes longer than to
# follow the few that a rank counted too low lets through.
_MOST_RANKED = 64


class LexicalSearch:
    """Driven as `potstill.engine.beam.BeamSearch` is."""

    def __init__(
        self,
        params: BeamParams,
        rules: LexicalRules,
        lexical: LexicalParams,
        stop: StopRule,
        num_texts: int = 1,
    ) -> None:
        """The best `num_texts` are wanted, at most as many as there are beams."""
        self.params, self._num_texts = params, num_texts
        self.live: list[LexicalBeam] = [LexicalBeam((), 0.0, 0.0, stop, rules.start)]
        self.is_finished = False
        self._rules, self._lexical = rules, lexical
        self._finished: list[Hypothesis] = []
        self._unmet: list[Hypothesis] = []
        self._rollouts = Rollouts(lexical.lookahead_steps, params.eos_ids)
        self._num_tokens = 0

    @property
    def most_guessed(self) -> int:
        return self._lexical.most_guessed

    def looked_at(self, place: int) -> LookedAt:
        """What has to be known of the live text at `place`."""
        num_likeliest = max(self.params.num_looked_at, min(self._lexical.prune_factor or 0, _MOST_RANKED))
        state, guessed_ids = self.live[place].state, self._rollouts.guess(place)[: self._num_left]
        named = named_along(state, guessed_ids) if self._lexical.lookahead_steps else state.advancing()
        return LookedAt(num_likeliest, (*named, *sorted(self.params.eos_ids)), guessed_ids)

    def advance(self, found: Sequence[Continuations]) -> list[Fork] | None:
        """Take a step, told what each live text may go on with: how the new ones come from them, in order.

        None while their greedy tokens are not known far enough.
        """
        if not self._rollouts.look(found, self._num_left):
            return None
        rows = self._worth_following(found)
        forks = self._chosen(found, rows)
        self._rollouts.go_on(found, forks)
        return forks

    def _chosen(self, found: Sequence[Continuations], rows: Sequence[int]) -> list[Fork]:
        self._num_tokens += 1
        num_left = self.params.max_tokens - self._num_tokens
        candidates = Candidates(self.live, found, rows, self.params.eos_ids, self.params.num_beams)
        kept = self._near_the_best(candidates.best(num_left, self._lexical.prune_factor))
        forks: list[Fork] = []
        grown: list[LexicalBeam] = []
        for one in self._in_turns(kept):
            beam = self._grown(one)
            if one.is_eos or beam.stop.push(one.token_id):
                self._finish(beam, "stop")
            elif not num_left:
                self._finish(beam, "length")
            else:
                forks.append(Fork(one.parent, one.token_id))
                grown.append(beam)
            if len(grown) == self.params.num_beams:
                break
        self.live = grown
        self._keep_best()
        self.is_finished = not grown or self._is_settled(max(beam.score for beam in grown))
        return forks

    def best(self, count: int) -> list[Hypothesis]:
        """The best finished texts, the best first; those that meet less only where none meets all."""
        return (self._finished or self._unmet)[:count]

    def _worth_following(self, found: Sequence[Continuations]) -> Sequence[int]:
        """The texts that go on: all, or with lookahead the half that promises most."""
        if not self._lexical.lookahead_steps:
            return range(len(self.live))
        ranks = {row: self._rank(row, found[row]) for row in range(len(self.live))}
        groups: dict[int, list[int]] = {}
        for row in sorted(ranks, key=lambda row: -ranks[row]):
            groups.setdefault(self.live[row].state.holding, []).append(row)
        turns = (one for turn in zip_longest(*groups.values()) for one in turn if one is not None)
        return list(islice(turns, -(-self.params.num_beams // 2)))

    def _rank(self, row: int, found: Continuations) -> float:
        beam = self.live[row]
        promise = future(beam.state, self._rollouts.path(row, found), found)
        length: float = float(max(self._num_tokens, 1)) ** self.params.length_penalty
        return beam.score / length + (self._lexical.alpha * promise if isfinite(promise) else 0.0)

    def _near_the_best(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that meet hardly fewer clauses than the one that meets most."""
        most = max((one.state.num_met for one in candidates if not one.is_eos), default=0)
        least = most - self._lexical.sat_tolerance
        return [one for one in candidates if one.is_eos or one.state.num_met >= least]

    def _in_turns(self, candidates: list[Candidate]) -> Iterator[Candidate]:
        """Ends first, which take no place; then the best of each group, the second of each, and so on."""
        yield from (one for one in candidates if one.is_eos)
        groups: dict[int, list[Candidate]] = {}
        for one in candidates:
            if not one.is_eos:
                groups.setdefault(one.state.holding, []).append(one)
        for turn in zip_longest(*groups.values()):
            yield from sorted((one for one in turn if one is not None), key=lambda one: -one.score)

    def _grown(self, one: Candidate) -> LexicalBeam:
        parent = self.live[one.parent]
        token_ids = (*parent.token_ids, one.token_id)
        return LexicalBeam(token_ids, one.score, one.logprob, parent.stop.fork(), one.state)

    def _finish(self, beam: LexicalBeam, reason: FinishReason) -> None:
        score = self._by_length(beam.score)
        text = Hypothesis(beam.token_ids, score, beam.logprob, reason, beam.stop)
        holds = _holds(self._rules, beam.state, beam.stop, is_complete=reason == "stop")
        (self._finished if holds else self._unmet).append(text)

    def _keep_best(self) -> None:
        for texts in (self._finished, self._unmet):
            texts.sort(key=lambda hypothesis: -hypothesis.score)
            del texts[self.params.num_beams :]

    def _is_settled(self, best_live_score: float) -> bool:
        """Whether the texts wanted are finished and the best live one, ended now, would not be among them.

        A beam search waits for as many finished texts as it has beams, which here may never come: few live
        texts meet all clauses.
        """
        if self.params.early_stopping and len(self._finished) >= self.params.num_beams:
            return True
        if len(self._finished) < self._num_texts:
            return False
        return self._by_length(best_live_score) <= self._finished[self._num_texts - 1].score

    @property
    def _num_left(self) -> int:
        """Tokens that may come after the next."""
        return self.params.max_tokens - self._num_tokens - 1

    def _by_length(self, score: float) -> float:
        length: float = float(self._num_tokens) ** self.params.length_penalty
        return score / length


def _holds(rules: LexicalRules, state: LexicalState, stop: StopRule, *, is_complete: bool) -> bool:
    """Of what a stop rule cuts off nothing counts."""
    if isinstance(stop, WrittenText):
        return not rules.unmet(stop.cut(is_complete=is_complete))
    return state.can_end
