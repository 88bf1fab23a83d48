"""Which tokens would repeat an n-gram of the output."""

from collections import deque


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

    def banned(self) -> set[int]:
        """Tokens that may not come next."""
        if not self._size or len(self._last) < self._size - 1:
            return set()
        tail = tuple(self._last)[len(self._last) - self._size + 1 :]
        return self._followers.get(tail, set())
