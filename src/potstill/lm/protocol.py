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
    A row wants the logits of its last `num_logits` positions, all of them new: none while a prompt is run in
    pieces, one to draw the next token, more where the context ends with tokens that are only guessed.

    An encoder-decoder's positions are what its decoder reads: `num_prepended` (its start token), then the
    output. `encoder_table` holds the encoder's keys and values of the whole prompt, prompt token i in block
    `encoder_table[i // block_size]`. They are there already, or a row of this very step with the same table
    `encodes` them first. A row that does not ask its encoder has no such table.
    """

    context: Context
    num_cached: int
    num_new: int
    block_table: Sequence[int]
    num_logits: int = 1
    encoder_table: Sequence[int] = ()
    encodes: bool = False

    @property
    def asked(self) -> list[Context]:
        """The contexts whose next tokens are wanted, the shortest first."""
        shortest = self.context.num_output - self.num_logits + 1
        return [self.context.cut(length) for length in range(shortest, self.context.num_output + 1)]


def wanted_positions(rows: Sequence[StepRow]) -> np.ndarray:
    """[M] int64: which of a step's positions, packed row after row, logits are wanted of."""
    ends = np.cumsum([row.num_new for row in rows], dtype=np.int64)
    counts = np.array([row.num_logits for row in rows], dtype=np.int64)
    before = np.cumsum(counts) - counts
    wanted: np.ndarray = np.arange(counts.sum()) + np.repeat(ends - counts - before, counts)
    return wanted


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
        """Log-probabilities up to a constant a row, float32 or bfloat16 [M, V]: of every position that logits
        are wanted of, row after row."""
        ...

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy each source block to its target, in all layers, as when two texts part in a block half full.

        No target is also a source. Does nothing where nothing is cached.
        """
        ...
