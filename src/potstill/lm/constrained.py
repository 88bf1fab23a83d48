"""A model held to a constraint: its probabilities among what may come next. The definition, for tests.

The engine does the same to the scores of a step. It is not the model's distribution over the texts that keep
the constraint: a token's share does not tell how likely the text can still be ended well (Park et al. 2024,
arXiv:2405.21047, section 2).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from potstill.constraints.protocol import Constraint
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.protocol import NextTokenModel


class ConstrainedModel:
    """`start` gives the constraint at the beginning of an output; prompts are not looked at."""

    def __init__(self, model: NextTokenModel, start: Callable[[], Constraint]) -> None:
        self.model, self._start = model, start

    @property
    def vocab_size(self) -> int:
        return self.model.vocab_size

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        """[B, V]. Where the model gives none of what is allowed a chance, all of it gets the same.

        UsageError for an output that breaks the constraint.
        """
        logprobs = self.model.next_logprobs(contexts).astype(np.float64)  # [B, V]
        for row, context in zip(logprobs, contexts, strict=True):
            allowed = self._allowed(context)
            row[~allowed] = -np.inf
            if row.max() == -np.inf:
                row[allowed] = 0
            row -= np.logaddexp.reduce(row)
        normalised: np.ndarray = logprobs.astype(np.float32)
        return normalised

    def _allowed(self, context: Context) -> NDArray[np.bool_]:
        """[V]"""
        constraint = self._start()
        if (num_valid := constraint.num_valid(context.output_ids)) < context.num_output:
            raise UsageError(f"Token {num_valid} of the output breaks the constraint; nothing follows it.")
        for token_id in context.output_ids:
            constraint.take(token_id)
        octets = constraint.allowed().astype("<i4", copy=False).view(np.uint8)
        return np.unpackbits(octets, count=self.vocab_size, bitorder="little").view(np.bool_)
