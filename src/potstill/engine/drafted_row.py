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


class DraftedRow:
    """A sequence after the first tokens of its draft; `allowed` is what its constraint says there."""

    __slots__ = ("allowed", "sampling", "_guessed_ids", "_sequence")

    def __init__(self, sequence: Sequence, guessed_ids: tuple[int, ...], allowed: Mask | None) -> None:
        self.sampling: SamplingParams = sequence.sampling
        self.allowed = allowed
        self._sequence, self._guessed_ids = sequence, guessed_ids

    @property
    def output_ids(self) -> list[int]:
        return [*self._sequence.output_ids, *self._guessed_ids]

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
    return [DraftedRow(sequence, guessed_ids[:length], allowed[length]) for length in range(num_rows)]


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
