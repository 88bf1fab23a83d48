"""A neural decoder as a language model: the definition over whole contexts, and cached steps over blocks."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from potstill.errors import ConfigError, UsageError
from potstill.layers.attention import PackedAttention
from potstill.layers.kv_cache import PagedAttention, PagedKVCache
from potstill.lm.context import Context
from potstill.lm.protocol import StepRow
from potstill.models.decoder import Decoder


class NeuralDecoder:
    """`decoder` with a KV cache of at most `kv_bytes`. It puts its own BOS, if any, before every context."""

    def __init__(self, decoder: Decoder, *, bos_id: int | None, kv_bytes: int, block_size: int = 16) -> None:
        self.decoder, self.bos_id, self.block_size = decoder, bos_id, block_size
        self.max_positions = decoder.config.max_positions
        block_bytes = bytes_per_position(decoder) * block_size
        if kv_bytes < block_bytes:
            raise ConfigError(
                f"kv_bytes is {kv_bytes:,}; one block of {block_size} positions takes {block_bytes:,} bytes."
            )
        self._cache = make_cache(decoder, kv_bytes // block_bytes, block_size)

    @property
    def vocab_size(self) -> int:
        return self.decoder.config.vocab_size

    @property
    def num_blocks(self) -> int:
        return self._cache.num_blocks

    @property
    def num_prepended(self) -> int:
        return 0 if self.bos_id is None else 1

    @property
    def cache_bytes(self) -> int:
        return self._cache.num_blocks * self._cache.bytes_per_block

    @property
    def device(self) -> torch.device:
        return self.decoder.head_weight.device

    def position_ids(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens with what the model itself puts before them."""
        return token_ids if self.bos_id is None else (self.bos_id, *token_ids)

    @torch.inference_mode()
    def step(self, rows: Sequence[StepRow]) -> Tensor:
        """Logits of the rows that want them, [B, V], in the type of the weights."""
        if self._rounds_alone_otherwise and len(rows) == 1 and rows[0].num_new == 1:
            return self._step([rows[0], rows[0]])[:1]
        return self._step(rows)

    @property
    def _rounds_alone_otherwise(self) -> bool:
        """Whether a lone row's products are summed in another order than a batch's: oneDNN's bfloat16.

        The bits differ in a thousandth of the numbers, and after a few tokens so does the text of a seed. Two
        rows take hardly longer than one: the weights are read once.
        """
        weight = self.decoder.head_weight
        return weight.dtype == torch.bfloat16 and weight.device.type == "cpu"

    def _step(self, rows: Sequence[StepRow]) -> Tensor:
        token_ids = torch.tensor(list(chain.from_iterable(map(self._new_ids, rows))), device=self.device)
        num_new = [row.num_new for row in rows]
        attention = PagedAttention(
            self._cache, [row.block_table for row in rows], [row.num_cached for row in rows], num_new
        )
        hidden = self.decoder(token_ids, attention)  # [N, E]
        last = np.cumsum(num_new)[[row.wants_logits for row in rows]] - 1
        if len(last) < len(hidden):
            hidden = hidden[torch.from_numpy(last).to(self.device)]  # [B, E]
        return self.decoder.logits(hidden)

    @torch.inference_mode()
    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        whole = [self.position_ids(context.token_ids) for context in contexts]
        if not all(whole):
            raise UsageError("A context is empty and this model has no BOS to begin with.")
        lengths = [len(ids) for ids in whole]
        token_ids = torch.tensor(list(chain.from_iterable(whole)), device=self.device)
        hidden = self.decoder(token_ids, PackedAttention(lengths, device=self.device))
        logits = self.decoder.logits(hidden[torch.tensor(lengths).cumsum(0) - 1])  # [B, V]
        logprobs: np.ndarray = logits.float().log_softmax(-1).cpu().numpy()
        return logprobs

    def _new_ids(self, row: StepRow) -> tuple[int, ...]:
        context, end = row.context, row.num_cached + row.num_new
        # The usual row runs its last token only, and is not worth joining two long tuples for.
        if row.num_new == 1 and context.output_ids and end == self.num_prepended + context.num_tokens:
            return context.output_ids[-1:]
        return self.position_ids(context.token_ids)[row.num_cached : end]


def bytes_per_position(decoder: Decoder) -> int:
    """Keys and values of one position in all layers."""
    config = decoder.config
    numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    return numbers * decoder.head_weight.element_size()


def make_cache(decoder: Decoder, num_blocks: int, block_size: int) -> PagedKVCache:
    config, weight = decoder.config, decoder.head_weight
    return PagedKVCache(
        config.num_layers,
        num_blocks,
        block_size,
        config.num_kv_heads,
        config.head_dim,
        dtype=weight.dtype,
        device=weight.device,
    )
