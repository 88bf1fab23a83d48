"""One forward pass of an encoder-decoder over a paged cache: what `lm` asks, whatever computes it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention
from potstill.layers.cross_attention import (
    PackedCrossAttention,
    PagedCrossAttention,
    PromptRows,
    write_prompts,
)
from potstill.layers.kv_cache import PagedAttention, PagedKVCache, PagedRows
from potstill.models.t5 import T5
from potstill.models.t5_config import T5Config


class EncoderDecoderRunner(Protocol):
    """Prompts to keys and values in a cache, and outputs after them to logits; no gradients."""

    @property
    def config(self) -> T5Config: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def cache_dtype(self) -> torch.dtype:
        """In which keys and values are kept."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Memory the weights take."""
        ...

    def encode(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> None:
        """token_ids [S] int64 of whole prompts, none of them cached; what the decoder sees goes to `rows`."""
        ...

    def step(
        self, token_ids: Tensor, rows: PagedRows, prompts: PromptRows, cache: PagedKVCache, wanted: Tensor
    ) -> Tensor:
        """Logits [M, V] of the output tokens at `wanted` [M] int64, indices into token_ids [N] int64.

        The other tokens are only cached. `prompts` are encoded already, one for each row.
        """
        ...

    def logits_of_whole(
        self,
        prompt_ids: Tensor,
        prompt_lengths: Sequence[int],
        output_ids: Tensor,
        output_lengths: Sequence[int],
    ) -> Tensor:
        """Logits [B, V] of the last token of each of B whole outputs, by the definition: without a cache."""
        ...


class TorchT5Runner:
    """The modules themselves, with whatever weights they have at the time: any device, and training."""

    def __init__(self, t5: T5) -> None:
        self.t5 = t5

    @property
    def config(self) -> T5Config:
        return self.t5.config

    @property
    def device(self) -> torch.device:
        return self.t5.head_weight.device

    @property
    def cache_dtype(self) -> torch.dtype:
        return self.t5.head_weight.dtype

    @property
    def weight_bytes(self) -> int:
        return sum(weight.numel() * weight.element_size() for weight in self.t5.parameters())

    def encode(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> None:
        attention = PackedAttention(rows.starts.diff().tolist(), self.device, causal=False)
        write_prompts(cache, rows, self.t5.keys_values(self.t5.encode(token_ids, attention)))

    def step(
        self, token_ids: Tensor, rows: PagedRows, prompts: PromptRows, cache: PagedKVCache, wanted: Tensor
    ) -> Tensor:
        if len(token_ids) == 1 and self._rounds_alone_otherwise:
            token_ids, rows, prompts = token_ids.repeat(2), rows.twice(), prompts.twice()
        attention, seen = PagedAttention.over(rows, cache), PagedCrossAttention(rows, prompts, cache)
        hidden = self.t5(token_ids, attention, seen)  # [N, E]
        return self.t5.logits(hidden if len(wanted) == len(hidden) else hidden[wanted])

    def logits_of_whole(
        self,
        prompt_ids: Tensor,
        prompt_lengths: Sequence[int],
        output_ids: Tensor,
        output_lengths: Sequence[int],
    ) -> Tensor:
        encoded = self.t5.encode(prompt_ids, PackedAttention(prompt_lengths, self.device, causal=False))
        seen = PackedCrossAttention(output_lengths, prompt_lengths, self.t5.keys_values(encoded))
        hidden = self.t5(output_ids, PackedAttention(output_lengths, self.device), seen)
        return self.t5.logits(hidden[torch.tensor(output_lengths).cumsum(0) - 1])

    @property
    def _rounds_alone_otherwise(self) -> bool:
        """As for a decoder, see `models.runner.TorchRunner`."""
        return self.cache_dtype == torch.bfloat16 and self.device.type == "cpu"
