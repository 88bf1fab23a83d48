"""Any next-token model as a batched decoder: nothing is cached, each step asks the definition."""

from collections.abc import Sequence

import torch

from potstill.lm.protocol import NextTokenModel, StepRow


class Stateless:
    """Drives `model` through the engine. Blocks are counted and never filled."""

    def __init__(
        self,
        model: NextTokenModel,
        *,
        num_blocks: int = 4096,
        block_size: int = 16,
        max_positions: int = 1 << 20,
    ) -> None:
        self.model = model
        self.num_blocks, self.block_size = num_blocks, block_size
        self.max_positions = max_positions
        self.num_prepended = 0
        self.cache_bytes = 0
        # The definition is asked about prompt and output together, whatever it does with either.
        self.encodes_prompt, self.max_prompt_tokens = False, None

    @property
    def vocab_size(self) -> int:
        return self.model.vocab_size

    def step(self, rows: Sequence[StepRow]) -> torch.Tensor:
        asked = [context for row in rows for context in row.asked]
        if not asked:
            return torch.empty(0, self.vocab_size)
        return torch.from_numpy(self.model.next_logprobs(asked))  # [M, V]

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """There is nothing in them."""
