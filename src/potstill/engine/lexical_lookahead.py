"""How likely the phrases become that a text still lacks, if it goes on greedily for a few tokens.

A*-like lookahead (Lu et al. 2022, arXiv:2112.08726, section 3.2), greedy. A greedy token is known once all
before it are, so texts are looked at again and again, each time with what is known and guessed of their
greedy tokens behind them: the last position of each look gives a token more, and where a guess was right, as
that of a text whose parent went on the same way, several. No torch here.
"""

import math
from collections.abc import Iterator, Sequence

from potstill.constraints.lexical import LexicalState
from potstill.engine.looked_at import Continuations


class Rollouts:
    """The greedy tokens of live texts, `num_steps` places looked at in each: the next token's and those
    after each of the first greedy tokens."""

    def __init__(self, num_steps: int, eos_ids: frozenset[int]) -> None:
        self._num_steps, self._eos_ids = num_steps, eos_ids
        self._guesses: list[tuple[int, ...]] = [()]
        self._num_looks = 0

    def guess(self, place: int) -> tuple[int, ...]:
        """Greedy tokens of the text at `place`, the first of them known and the others guessed."""
        return self._guesses[place]

    def look(self, found: Sequence[Continuations], num_left: int) -> bool:
        """Whether enough is known; if not, better guesses are ready.

        The texts end `num_left` tokens after the next.
        """
        num_steps = min(self._num_steps, num_left + 1)
        self._num_looks += 1
        # Each look tells a token more, unless a constraint broke off on the way: then no look does.
        if self._num_looks >= num_steps:
            return True
        known = [self.path(place, one) for place, one in enumerate(found)]
        if all(len(path) >= num_steps or path[-1] in self._eos_ids for path in known):
            return True
        self._guesses = [self._better(*pair) for pair in zip(known, found, strict=True)]
        return False

    def path(self, place: int, found: Continuations) -> tuple[int, ...]:
        """The greedy tokens that are known of a text, at least one."""
        path: list[int] = []
        for guessed_id, look in zip((*self._guesses[place], None), (found, *found.then), strict=False):
            path.append(look.token_ids[0])
            if path[-1] != guessed_id or path[-1] in self._eos_ids:
                break
        return tuple(path)

    def go_on(self, found: Sequence[Continuations], forks: Sequence[tuple[int, int]]) -> None:
        """The live texts are now those at (parent, token): what followed the parent may follow them."""
        known = [self.path(place, one) for place, one in enumerate(found)]
        better = [self._better(*pair) for pair in zip(known, found, strict=True)]
        self._guesses = [better[parent][1:] for parent, _ in forks]
        self._num_looks = 0

    def _better(self, path: tuple[int, ...], found: Continuations) -> tuple[int, ...]:
        """What is known, then what was likeliest behind guesses that were wrong."""
        guessed = tuple(look.token_ids[0] for look in found.then[len(path) - 1 :])
        tokens = (*path, *guessed)[: self._num_steps - 1]
        ends = [index for index, token_id in enumerate(tokens) if token_id in self._eos_ids]
        return tokens[: ends[0]] if ends else tokens


def future(state: LexicalState, path: Sequence[int], found: Continuations) -> float:
    """The highest mean log-probability a token that a way to an open clause has along a greedy path.

    0 where nothing is open. A way's later tokens are read behind the path's own, not behind its first ones;
    only a way from the path's start may be longer than the path.
    """
    if state.can_end:
        return 0.0
    looks = [dict(zip(one.token_ids, one.logprobs, strict=True)) for one in (found, *found.then)][: len(path)]
    return max(_means(state, path, looks), default=-math.inf)


def _means(state: LexicalState, path: Sequence[int], looks: Sequence[dict[int, float]]) -> Iterator[float]:
    for place, token_id in enumerate(path[: len(looks)]):
        for way in state.wanted_ways():
            # Cut short, a way that begins with a space would seem likely at the end of every path.
            if place and place + len(way) > len(looks):
                continue
            logprobs = [look.get(one, -math.inf) for one, look in zip(way, looks[place:], strict=False)]
            yield sum(logprobs) / len(logprobs)
        state = state.after(token_id)


def named_along(state: LexicalState, guessed_ids: Sequence[int]) -> tuple[int, ...]:
    """Tokens that have to be known along a path: those of every way from every place on it."""
    named: dict[int, None] = {}
    for token_id in (*guessed_ids, None):
        for way in state.wanted_ways():
            named.update(dict.fromkeys(way))
        if token_id is not None:
            state = state.after(token_id)
    return tuple(named)
