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

    An encoder-decoder's positions are what its decoder reads: `num_prepended` (its start token), then the
    output. `encoder_table` holds the encoder's keys and values of the whole prompt, prompt token i in block
    `encoder_table[i // block_size]`. They are there already, or a row of this very step with the same table
    `encodes` them first. A row that does not ask its encoder has no such table.
    """

    context: Context
    num_cached: int
    num_new: int
    block_table: Sequence[int]
    wants_logits: bool = True
    encoder_table: Sequence[int] = ()
    encodes: bool = False


class BatchedDecoder(Protocol):
    """The cached form: equal to `next_logprobs`, row by row, whatever else shares the step.

    Within a step every row's new positions are written before any row reads, layer by layer. So rows that
    begin alike may share blocks that one of them is only now filling. A step that failed may be run again:
    its rows then write the same positions once more.
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
        """The longest context the model was made for, prepended positions included; of an encoder-decoder
        what its decoder reads."""
        ...

    @property
    def encodes_prompt(self) -> bool:
        """Whether an encoder reads the prompt, so that positions count the output alone."""
        ...

    @property
    def max_prompt_tokens(self) -> int | None:
        """The longest prompt an encoder was made for; None where the prompt counts among the positions, or
        may have any length."""
        ...

    @property
    def cache_bytes(self) -> int:
        """Memory the blocks take, in bytes; 0 where nothing is cached."""
        ...

    def step(self, rows: Sequence[StepRow]) -> "torch.Tensor":
        """Log-probabilities up to a constant a row, [rows that want logits, V], float32 or bfloat16."""
        ...

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy each source block to its target, in all layers, as when two texts part in a block half full.

        No target is also a source. Does nothing where nothing is cached.
        """
        ...
