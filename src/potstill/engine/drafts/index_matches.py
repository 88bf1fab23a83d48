"""What followed the longest suffix of a text in an index. No torch here."""

from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from potstill.engine.drafts.followed_text import Change
from potstill.lm.context import Context
from potstill.lm.infinigram import InfinigramModel

# Of a text that is new, or has jumped, so many tokens are read at first; more where they all are matched.
_READ_AT_FIRST = 32


class IndexMatch(NamedTuple):
    """The longest suffix that occurs, and the likeliest of the tokens that followed it.

    total      places of the suffix
    num_seen   those that were looked at
    num_after  those that the token was seen to follow
    """

    length: int
    total: int
    num_seen: int
    token_id: int
    num_after: int


class _SuffixState(Protocol):
    """What an index on this machine and one in shards elsewhere share."""

    @property
    def suffix_len(self) -> int: ...

    @property
    def count(self) -> int: ...

    def extend(self, id: int) -> None: ...

    def reset(self) -> None: ...

    def copy(self) -> Self: ...

    def next(self, budget: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], int]: ...


class IndexMatches:
    """Stands at the end of a text; a token more is a few searches.

    As `InfinigramModel` has it, a document's end counts as an EOS, and no match reaches over a token that the
    index cannot hold.
    """

    def __init__(self, model: InfinigramModel, budget: int, state: _SuffixState | None = None) -> None:
        self._model, self._budget = model, budget
        self._num_known = model.index.vocabulary.vocab_size
        self._state: _SuffixState = model.index.state() if state is None else state

    def copy(self) -> "IndexMatches":
        return IndexMatches(self._model, self._budget, self._state.copy())

    @property
    def length(self) -> int:
        return self._state.suffix_len

    def push(self, token_id: int) -> None:
        if token_id < self._num_known:
            self._state.extend(token_id)
        else:
            self._state.reset()

    def go_to(self, change: Change, context: Context) -> None:
        """Follow a text that changed so and is now this."""
        if change.num_gone or len(change.new_ids) > _READ_AT_FIRST:
            self._read_anew(context.token_ids)
            return
        for token_id in change.new_ids:
            self.push(token_id)

    def match(self) -> IndexMatch | None:
        """None where nothing is matched, or what is matched stands at no place that was looked at."""
        length = self.length
        if not length:
            return None
        found, counts, _ = self._state.next(self._budget)
        if not len(found):
            return None
        num_seen, (token_id, num_after) = int(counts.sum()), self._likeliest(found, counts)
        # Of places that a budget left out, those in deleted documents still count among the seen.
        return IndexMatch(length, max(self._state.count, num_seen), num_seen, token_id, num_after)

    def _likeliest(self, found: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[int, int]:
        """Of equals the lowest id. Ids ascend; a document's end, told as V, stands last."""
        if found[-1] == self._num_known:
            return self._likeliest_beside_ends(found[:-1], counts[:-1], int(counts[-1]))
        best = int(counts.argmax())
        return int(found[best]), int(counts[best])

    def _likeliest_beside_ends(
        self, found: NDArray[np.int64], counts: NDArray[np.int64], num_ends: int
    ) -> tuple[int, int]:
        eos_id = self._model.eos_id
        end = eos_id, num_ends + int(counts[found == eos_id].sum())
        if not len(found):
            return end
        best = int(counts.argmax())
        token = int(found[best]), int(counts[best])
        return min(token, end, key=lambda each: (-each[1], each[0]))

    def _read_anew(self, token_ids: tuple[int, ...]) -> None:
        num_read = _READ_AT_FIRST
        while True:
            self._state.reset()
            for token_id in token_ids[-num_read:]:
                self.push(token_id)
            if self.length < num_read:
                return
            num_read *= 2
