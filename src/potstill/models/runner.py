"""One forward pass of a decoder over a paged cache: what `lm` asks, whatever computes it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention
from potstill.layers.kv_cache import PagedAttention, PagedKVCache, PagedRows
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder


class DecoderRunner(Protocol):
    """N packed tokens to hidden states, and rows of those to logits; no gradients."""

    @property
    def config(self) -> DecoderConfig: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def cache_dtype(self) -> torch.dtype:
        """In which keys and values are kept: float32 or bfloat16."""
        ...

    @property
    def logits_dtype(self) -> torch.dtype: ...

    @property
    def weight_bytes(self) -> int:
        """Memory the weights take; what a step reads at least."""
        ...

    def hidden(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> Tensor:
        """token_ids [N] int64 to [N, E], final norm applied; keys and values are written to the cache."""
        ...

    def hidden_of_whole(self, token_ids: Tensor, lengths: Sequence[int]) -> Tensor:
        """The same for whole sequences of these lengths in a row, without a cache."""
        ...

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        """hidden [M, E] to [M, V], written to `out` where it is given."""
        ...

    def step(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache, wanted: Tensor) -> Tensor:
        """Logits [M, V] of the tokens at `wanted` [M] int64, indices into the N; the others are only cached.

        A token's logits hang on its own sequence only, to the last bit.
        """
        ...


class TorchRunner:
    """The modules themselves, with whatever weights they have at the time: any device, and training."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    @property
    def config(self) -> DecoderConfig:
        return self.decoder.config

    @property
    def device(self) -> torch.device:
        return self.decoder.head_weight.device

    @property
    def cache_dtype(self) -> torch.dtype:
        return self.decoder.head_weight.dtype

    @property
    def logits_dtype(self) -> torch.dtype:
        return self.decoder.head_weight.dtype

    @property
    def weight_bytes(self) -> int:
        return sum(weight.numel() * weight.element_size() for weight in self.decoder.parameters())

    def hidden(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> Tensor:
        hidden: Tensor = self.decoder(token_ids, PagedAttention.over(rows, cache))
        return hidden

    def hidden_of_whole(self, token_ids: Tensor, lengths: Sequence[int]) -> Tensor:
        hidden: Tensor = self.decoder(token_ids, PackedAttention(lengths, device=self.device))
        return hidden

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        if out is None:
            return self.decoder.logits(hidden)
        weight, softcap = self.decoder.head_weight, self.decoder.logit_softcap
        torch.mm(hidden.to(weight.dtype), weight.T, out=out)
        if self.decoder.head_bias is not None:
            out += self.decoder.head_bias
        return out if softcap is None else out.div_(softcap).tanh_().mul_(softcap)

    def step(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache, wanted: Tensor) -> Tensor:
        if len(token_ids) == 1 and self._rounds_alone_otherwise:
            return self._step(token_ids.repeat(2), rows.twice(), cache, wanted)
        return self._step(token_ids, rows, cache, wanted)

    def _step(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache, wanted: Tensor) -> Tensor:
        hidden = self.hidden(token_ids, rows, cache)  # [N, E]
        return self.decoder.logits(hidden if len(wanted) == len(hidden) else hidden[wanted])

    @property
    def _rounds_alone_otherwise(self) -> bool:
        """Whether a lone row's products are summed in another order than a batch's: oneDNN's bfloat16.

        The bits differ in a thousandth of the numbers, and after a few tokens so does the text of a seed. Two
        rows take hardly longer than one: the weights are read once.
        """
        return self.cache_dtype == torch.bfloat16 and self.device.type == "cpu"
