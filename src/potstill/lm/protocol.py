"""Given a context, how likely is each next token? The definition, and the cached form the engine drives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from potstill.lm.context import Context

if TYPE_CHECKING:
    import torch


class NextTokenModel(Protocol):
    """The definition: stateless, obvious, slow."""

    @property
    def vocab_size(self) -> int: ...

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        """[B, V] float32; the probabilities of a row sum to 1, and -inf is allowed."""
        ...


class StepRow(NamedTuple):
    """One sequence's share of a step.

    Positions count what the model puts before a context (`num_prepended`), then the context's tokens.
    Position i lives in block `block_table[i // block_size]`. The first `num_cached` positions are in their
    blocks already, or are written there by another row of this very step; the next `num_new` are to run.
    A row wants logits only when its last position is run.
    """

    context: Context
    num_cached: int
    num_new: int
    block_table: Sequence[int]
    wants_logits: bool = True


class BatchedDecoder(Protocol):
    """The cached form: equal to `next_logprobs`, row by row, whatever else shares the step.

    Within a step every row's new positions are written before any row reads, layer by layer. So rows that
    begin alike may share blocks that one of them is only now filling.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def block_size(self) -> int:
        """Positions a block holds."""
        ...

    @property
    def num_blocks(self) -> int: ...

    @property
    def num_prepended(self) -> int:
        """Positions the model puts before every context: 1 for a BOS, else 0."""
        ...

    @property
    def max_positions(self) -> int:
        """The longest context the model was made for, prepended positions included."""
        ...

    @property
    def cache_bytes(self) -> int:
        """Memory the blocks take, in bytes; 0 where nothing is cached."""
        ...

    def step(self, rows: Sequence[StepRow]) -> "torch.Tensor":
        """Log-probabilities up to a constant a row, [rows that want logits, V], float32 or bfloat16."""
        ...
