"""One forward pass of an encoder: what `lm` asks, whatever computes it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention
from potstill.models.encoder import Encoder
from potstill.models.encoder_config import EncoderConfig


class EncoderRunner(Protocol):
    """Whole texts to states; no gradients."""

    @property
    def config(self) -> EncoderConfig: ...

    @property
    def device(self) -> torch.device: ...

    def states(
        self, token_ids: Tensor, type_ids: Tensor, lengths: Sequence[int], wanted: Tensor | None = None
    ) -> Tensor:
        """token_ids, type_ids [N] int64 of texts of these lengths in a row.

        Returns the states at `wanted` [M] int64 of the N tokens, all unless told: [M, E].
        """
        ...


class TorchEncoderRunner:
    """The modules themselves, with whatever weights they have at the time: any device, and training."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def config(self) -> EncoderConfig:
        return self.encoder.config

    @property
    def device(self) -> torch.device:
        return self.encoder.embeddings.word_embeddings.weight.device

    def states(
        self, token_ids: Tensor, type_ids: Tensor, lengths: Sequence[int], wanted: Tensor | None = None
    ) -> Tensor:
        states: Tensor = self.encoder(
            token_ids, type_ids, PackedAttention(lengths, self.device, causal=False)
        )
        return states if wanted is None else states[wanted]
