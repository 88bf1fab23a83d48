"""What of a growing text stood in it before: an online suffix automaton with counts. No torch here.

Blumer et al. 1985, "The smallest automaton recognizing the subwords of a text"; a token more costs a constant
on average. A state stands for all pieces of the text that end at the same places: `_link` is that of the
longest suffix that ends at other places too, `_len` the tokens of its longest piece, `_count` its places.
"""

from collections.abc import Mapping
from typing import NamedTuple

_ROOT = 0
_NOWHERE = -1
# A text that repeats itself without end has a suffix for each of its tokens; longer ones say no more.
LONGEST_MATCH = 32


class TextMatch(NamedTuple):
    """The longest suffix that stood in the text before, and how often each token followed it there."""

    length: int
    counts: Mapping[int, int]


class _Pushed(NamedTuple):
    """What a token changed: the states before it, and that of which it split another off."""

    last: int
    tail: int
    split: int


class TextMatches:
    """Of the last `longest` tokens the longest suffix that occurred earlier, and what followed it.

    Takes about 0.5 KiB a token.
    """

    def __init__(self, longest: int = LONGEST_MATCH) -> None:
        self._longest = longest
        self._next: list[dict[int, int]] = [{}]
        self._link, self._len, self._count = [_NOWHERE], [0], [0]
        self._last = self._tail = _ROOT  # of the whole text, and of its last `longest` + 1 tokens
        self._ids: list[int] = []
        self._pushed: list[_Pushed] = []

    @property
    def num_tokens(self) -> int:
        return len(self._ids)

    @property
    def num_states(self) -> int:
        return len(self._len)

    def match(self) -> TextMatch:
        """Of length 0, and without counts, where the last token is new."""
        length, state = self._longest_match()
        if state == _ROOT:
            return TextMatch(0, {})
        counts = self._count
        return TextMatch(length, {token_id: counts[to] for token_id, to in self._next[state].items()})

    def push(self, token_id: int) -> None:
        last, tail = self._last, self._tail
        new = self._add_state({}, self._len[last] + 1)
        before = self._lead(last, token_id, _NOWHERE, new)
        split = self._link_to_suffix(new, before, token_id)
        self._ids.append(token_id)
        self._pushed.append(_Pushed(last, tail, split))
        self._last, self._tail = new, self._tail_of(self._next[tail][token_id])
        self._add_to_counts(1)

    def pop(self) -> None:
        """Take the last token back; there must be one."""
        self._add_to_counts(-1)
        token_id, (last, tail, split) = self._ids.pop(), self._pushed.pop()
        new, clone = self._last, self._last + 1
        if split != _NOWHERE:
            self._link[split] = self._link[clone]
        before = self._unlead(last, token_id, new)
        if split != _NOWHERE:
            self._lead(before, token_id, clone, split)
            self._drop_state()
        self._drop_state()
        self._last, self._tail = last, tail

    def _longest_match(self) -> tuple[int, int]:
        links, lens, counts = self._link, self._len, self._count
        state, length = self._tail, min(len(self._ids), self._longest + 1)
        if length > self._longest:
            length = self._longest
            if lens[links[state]] >= length:
                state = links[state]
        while state != _ROOT and counts[state] < 2:
            state = links[state]
            length = lens[state]
        return length, state

    def _add_state(self, following: dict[int, int], length: int, link: int = _NOWHERE, count: int = 0) -> int:
        self._next.append(following)
        self._len.append(length)
        self._link.append(link)
        self._count.append(count)
        return len(self._len) - 1

    def _drop_state(self) -> None:
        for column in (self._next, self._len, self._link, self._count):
            column.pop()

    def _lead(self, state: int, token_id: int, where_to: int, new: int) -> int:
        """From a suffix and all shorter ones that a token leads `where_to` now, lead it to `new` instead.

        Returns the first that it leads elsewhere.
        """
        links, following = self._link, self._next
        while state != _NOWHERE and following[state].get(token_id, _NOWHERE) == where_to:
            following[state][token_id] = new
            state = links[state]
        return state

    def _unlead(self, state: int, token_id: int, where_to: int) -> int:
        links, following = self._link, self._next
        while state != _NOWHERE and following[state].get(token_id, _NOWHERE) == where_to:
            del following[state][token_id]
            state = links[state]
        return state

    def _link_to_suffix(self, new: int, before: int, token_id: int) -> int:
        """Link the state of the whole text; `before` is the longest suffix that this token followed earlier.

        Returns the state that had to be split for it, if one had.
        """
        if before == _NOWHERE:
            self._link[new] = _ROOT
            return _NOWHERE
        found = self._next[before][token_id]
        if self._len[before] + 1 == self._len[found]:
            self._link[new] = found
            return _NOWHERE
        self._link[new] = self._split(before, token_id, found)
        return found

    def _split(self, before: int, token_id: int, found: int) -> int:
        """Part the shorter pieces of `found`, which end in one place more, from the longer ones."""
        clone = self._add_state(
            dict(self._next[found]), self._len[before] + 1, self._link[found], self._count[found]
        )
        self._lead(before, token_id, found, clone)
        self._link[found] = clone
        return clone

    def _tail_of(self, state: int) -> int:
        """Of a state whose longest pieces may be too long, the one with the tail as it is now."""
        length = min(len(self._ids), self._longest + 1)
        while self._len[self._link[state]] >= length:
            state = self._link[state]
        return state

    def _add_to_counts(self, step: int) -> None:
        """For every suffix up to the tail; what is longer is never asked for."""
        state, links, counts = self._tail, self._link, self._count
        while state != _ROOT:
            counts[state] += step
            state = links[state]
