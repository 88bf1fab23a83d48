"""How a decoder's tokens see what an encoder made of their prompts.

The keys and values of all layers are known before the decoder runs: packed beside it while training, in
blocks of the KV cache while decoding. Every query of a sequence sees all of its prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from potstill.layers.kv_cache import PagedKVCache, PagedRows, attention_over, padded_tables
from potstill.layers.padding import Places, pad, real_places, unpad


class KeysValues(NamedTuple):
    """Of one layer: keys, values [S, K, D] of S packed prompt tokens."""

    keys: Tensor
    values: Tensor


class CrossAttention(Protocol):
    """Attention of N packed queries over their sequences' prompts."""

    def attend(self, layer: int, q: Tensor, *, scale: float) -> Tensor:
        """q [N, H, D]; returns [N, H, D]."""
        ...


class PackedCrossAttention:
    """B sequences of queries over as many prompts; differentiable once.

    query_lengths, prompt_lengths [B], each >= 1; keys_values [L] over the prompts in a row.
    """

    def __init__(
        self,
        query_lengths: Sequence[int],
        prompt_lengths: Sequence[int],
        keys_values: Sequence[KeysValues],
    ) -> None:
        assert len(query_lengths) == len(prompt_lengths), "a prompt for each sequence"
        device = keys_values[0].keys.device
        everything = [range(len(query_lengths))]
        self._queries = Places.of(everything, query_lengths, device)
        self._prompts = Places.of(everything, prompt_lengths, device)
        self._num_sequences = len(query_lengths)
        real = real_places(prompt_lengths, device)
        self._visible = None if real is None else real[:, None, None]  # [B, 1, 1, S]
        self._keys_values = keys_values

    def attend(self, layer: int, q: Tensor, *, scale: float) -> Tensor:
        keys, values = self._keys_values[layer]
        queries = self._batch(q, self._queries)  # [B, H, T, D]
        k, v = (self._batch(x, self._prompts) for x in (keys, values))  # [B, K, S, D]
        seen = F.scaled_dot_product_attention(
            queries, k, v, attn_mask=self._visible, scale=scale, enable_gqa=q.shape[1] != keys.shape[1]
        )
        return unpad(seen.transpose(1, 2).flatten(0, 1), self._queries)

    def _batch(self, x: Tensor, places: Places) -> Tensor:
        return pad(x, places).view(self._num_sequences, -1, *x.shape[1:]).transpose(1, 2)


@dataclass(frozen=True)
class PromptRows:
    """Where the encoded prompts of B sequences lie, as tensors on the cache's device.

    block_tables [B, max blocks] int32, padded with 0; lengths [B] int32 in tokens, each >= 1.
    """

    block_tables: Tensor
    lengths: Tensor

    @classmethod
    def of(
        cls, block_tables: Sequence[Sequence[int]], lengths: Sequence[int], cache: PagedKVCache
    ) -> "PromptRows":
        assert all(
            1 <= length <= len(table) * cache.block_size
            for table, length in zip(block_tables, lengths, strict=True)
        ), "a prompt longer than its blocks, or none"
        tables = padded_tables(block_tables).astype(np.int32)
        return cls(
            torch.from_numpy(tables).to(cache.device),
            torch.tensor(lengths, dtype=torch.int32, device=cache.device),
        )

    def twice(self) -> "PromptRows":
        """The prompt of one sequence for two."""
        return PromptRows(self.block_tables.repeat(2, 1), self.lengths.repeat(2))


class PagedCrossAttention:
    """The same over prompts whose keys and values lie in blocks. No gradients."""

    def __init__(self, rows: PagedRows, prompts: PromptRows, cache: PagedKVCache) -> None:
        self._cache = cache
        num_new = rows.starts.diff()
        lengths = prompts.lengths.repeat_interleave(num_new)  # [N]
        # A row a query, as if it stood where its prompt ends.
        one_each = PagedRows(
            block_tables=prompts.block_tables.repeat_interleave(num_new, 0),
            starts=torch.arange(len(lengths) + 1, dtype=torch.int32, device=cache.device),
            num_cached=lengths - 1,
            positions=(lengths - 1).long(),
            slots=rows.slots,
        )
        self._attend = attention_over(one_each, cache)

    def attend(self, layer: int, q: Tensor, *, scale: float) -> Tensor:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        return self._attend(q.detach(), keys, values, scale=scale, window=None)


def write_prompts(cache: PagedKVCache, rows: PagedRows, keys_values: Sequence[KeysValues]) -> None:
    """Put the keys and values of whole prompts in a row, [L] of [S, K, D], where `rows` says."""
    for layer, (keys, values) in enumerate(keys_values):
        cache.keys[layer].flatten(0, 1)[rows.slots] = keys.detach().to(cache.dtype)
        cache.values[layer].flatten(0, 1)[rows.slots] = values.detach().to(cache.dtype)
