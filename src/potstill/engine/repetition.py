"""Which tokens would repeat an n-gram of the output."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def distinct(token_ids: Sequence[int]) -> NDArray[np.int64]:
    """Each token once, in any order."""
    return np.array([*{*token_ids}], dtype=np.int64)


class NgramBan:
    """Remembers the n-grams of a growing text; `size` 0 bans nothing.

    Only what was written counts, not the prompt: a summary may well use its source's phrases.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: deque[int] = deque(maxlen=size)
        self._followers: dict[tuple[int, ...], set[int]] = {}

    def push(self, token_id: int) -> None:
        if not self._size:
            return
        self._last.append(token_id)
        if len(self._last) == self._size:
            *prefix, last = self._last
            self._followers.setdefault(tuple(prefix), set()).add(last)

    def fork(self) -> "NgramBan":
        """The same for a text that begins as this one and goes on otherwise."""
        other = NgramBan(self._size)
        other._last.extend(self._last)
        other._followers = {prefix: set(tokens) for prefix, tokens in self._followers.items()}
        return other

    def banned(self, guessed_ids: Sequence[int] = ()) -> set[int]:
        """Tokens that may not come next, or not after more tokens that are only guessed."""
        if not self._size:
            return set()
        ids = (*self._last, *guessed_ids)
        if len(ids) < self._size - 1:
            return set()
        tail = ids[len(ids) - self._size + 1 :]
        banned = self._followers.get(tail, set())
        if not guessed_ids:
            return banned
        ends = range(max(self._size, len(self._last) + 1), len(ids) + 1)
        return banned | {ids[end - 1] for end in ends if ids[end - self._size : end - 1] == tail}
