"""A row as it would be after tokens that are only guessed: what drawing asks of each drafted position.

No torch here.
"""

from collections.abc import Sequence as Many

import numpy as np
from numpy.typing import NDArray

from potstill.constraints.protocol import Constraint
from potstill.engine.sequence import Sequence
from potstill.errors import PotstillError
from potstill.types import SamplingParams

Mask = NDArray[np.int32]
# Who penalises nothing does not ask.
_NONE_SEEN = np.empty(0, dtype=np.int64)


class DraftedRow:
    """A sequence after the first tokens of its draft; `allowed` is what its constraint says there."""

    __slots__ = ("allowed", "sampling", "seen_ids", "_guessed_ids", "_sequence")

    def __init__(
        self,
        sequence: Sequence,
        guessed_ids: tuple[int, ...],
        allowed: Mask | None,
        seen_ids: NDArray[np.int64],
    ) -> None:
        self.sampling: SamplingParams = sequence.sampling
        self.allowed, self.seen_ids = allowed, seen_ids
        self._sequence, self._guessed_ids = sequence, guessed_ids

    @property
    def banned_ids(self) -> set[int]:
        return self._sequence.ngram_ban.banned(self._guessed_ids)

    def next_uniform(self) -> float:
        return self._sequence.uniforms.at(len(self._sequence.output_ids) + len(self._guessed_ids))


def drafted_rows(sequence: Sequence, num_rows: int) -> list[DraftedRow]:
    """A row for each beginning of the draft, the empty one first; the sequence is left as it is."""
    guessed_ids = sequence.draft.token_ids[: num_rows - 1]
    allowed: Many[Mask | None] = [None] * num_rows
    if sequence.constraint is not None:
        allowed = _masks(sequence.constraint, guessed_ids)
    seen_ids = _seen(sequence, guessed_ids)
    return [
        DraftedRow(sequence, guessed_ids[:length], allowed[length], seen_ids[length])
        for length in range(num_rows)
    ]


def _seen(sequence: Sequence, guessed_ids: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """What stands in the output before each of these tokens, and after the last."""
    if sequence.sampling.repetition_penalty == 1:
        return [_NONE_SEEN] * (len(guessed_ids) + 1)
    seen = {*sequence.output_ids}
    all_ids, num_seen = [*seen], [len(seen)]
    for token_id in guessed_ids:
        if token_id not in seen:
            seen.add(token_id)
            all_ids.append(token_id)
        num_seen.append(len(all_ids))
    ids = np.array(all_ids, dtype=np.int64)
    return [ids[:count] for count in num_seen]


def _masks(constraint: Constraint, token_ids: Many[int]) -> list[Mask]:
    """What may come before each of these tokens, and after the last."""
    masks, num_taken = [constraint.allowed().copy()], 0
    try:
        for token_id in token_ids:
            constraint.take(token_id)
            num_taken += 1
            masks.append(constraint.allowed().copy())
    except PotstillError:
        # The text ends with the token before, if it comes so far, and takes nothing that is drawn after it.
        masks += masks[-1:] * (len(token_ids) + 1 - len(masks))
    finally:
        constraint.undo(num_taken)
    return masks
