"""Embeddings of tokens and of positions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from potstill.layers.initial import drawn


class TokenEmbedding(nn.Module):
    """Rows of a table times `scale`.

    The scale is rounded to the type of the table first, as transformers rounds it for Gemma: in bfloat16
    sqrt(640) is 25.25, and the model was trained that way.
    """

    def __init__(self, num_tokens: int, size: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = drawn(num_tokens, size)
        self.scale = scale

    def forward(self, token_ids: Tensor) -> Tensor:
        """token_ids [N] to [N, E]."""
        rows = F.embedding(token_ids, self.weight)
        if self.scale == 1.0:
            return rows
        return rows * torch.tensor(self.scale, dtype=rows.dtype, device="cpu").item()


class PositionEmbedding(nn.Module):
    """A learned row for each of `num_positions`, after `offset` rows that stand for none of them."""

    def __init__(self, num_positions: int, size: int, offset: int) -> None:
        super().__init__()
        self.weight = drawn(offset + num_positions, size)
        self.offset = offset

    def forward(self, positions: Tensor) -> Tensor:
        """positions [N] int64 to [N, E]."""
        return F.embedding(positions + self.offset, self.weight)
