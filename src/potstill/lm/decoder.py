"""A neural decoder as a language model: the definition over whole contexts, and cached steps over blocks."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from potstill.errors import ConfigError, DamagedError, UsageError
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.lm.context import Context
from potstill.lm.protocol import StepRow, wanted_positions
from potstill.models.decoder import Decoder
from potstill.models.runner import DecoderRunner, TorchRunner


class NeuralDecoder:
    """A decoder with a KV cache of at most `kv_bytes`. It puts its own BOS, if any, before every context.

    A bare `Decoder` is run by torch, with whatever weights it has at each step.
    """

    encodes_prompt = False
    max_prompt_tokens = None

    def __init__(
        self, runner: DecoderRunner | Decoder, *, bos_id: int | None, kv_bytes: int, block_size: int = 16
    ) -> None:
        self.runner: DecoderRunner = TorchRunner(runner) if isinstance(runner, Decoder) else runner
        self.bos_id, self.block_size = bos_id, block_size
        self.max_positions = self.runner.config.max_positions
        if bos_id is not None and not 0 <= bos_id < self.vocab_size:
            raise DamagedError(
                f"The tokenizer's BOS is token {bos_id}; the model has the tokens 0 to "
                f"{self.vocab_size - 1:,}. They do not belong together: fetch the model again."
            )
        block_bytes = bytes_per_position(self.runner) * block_size
        if kv_bytes < block_bytes:
            raise ConfigError(
                f"kv_bytes is {kv_bytes:,}; one block of {block_size} positions takes {block_bytes:,} bytes."
            )
        self._cache = make_cache(self.runner, kv_bytes // block_bytes, block_size)

    @property
    def decoder(self) -> Decoder:
        """The modules, where torch runs them; a model that was packed for another runner has none."""
        if not isinstance(self.runner, TorchRunner):
            raise UsageError("This model is packed for its runner and has no modules: load_decoder has them.")
        return self.runner.decoder

    @property
    def vocab_size(self) -> int:
        return self.runner.config.vocab_size

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
        return self.runner.device

    def position_ids(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens with what the model itself puts before them."""
        return token_ids if self.bos_id is None else (self.bos_id, *token_ids)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._cache.copy_blocks(pairs)

    @torch.inference_mode()
    def step(self, rows: Sequence[StepRow]) -> Tensor:
        """Logits [M, V] in the runner's type."""
        token_ids = torch.tensor(list(chain.from_iterable(map(self._new_ids, rows))), device=self.device)
        num_new = [row.num_new for row in rows]
        placed = PagedRows.of(
            [row.block_table for row in rows], [row.num_cached for row in rows], num_new, self._cache
        )
        wanted = torch.from_numpy(wanted_positions(rows)).to(self.device)
        return self.runner.step(token_ids, placed, self._cache, wanted)

    @torch.inference_mode()
    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        whole = [self.position_ids(context.token_ids) for context in contexts]
        if not all(whole):
            raise UsageError("A context is empty and this model has no BOS to begin with.")
        lengths = [len(ids) for ids in whole]
        token_ids = torch.tensor(list(chain.from_iterable(whole)), device=self.device)
        hidden = self.runner.hidden_of_whole(token_ids, lengths)
        logits = self.runner.logits(hidden[torch.tensor(lengths).cumsum(0) - 1])  # [B, V]
        logprobs: np.ndarray = logits.float().log_softmax(-1).cpu().numpy()
        return logprobs

    def _new_ids(self, row: StepRow) -> tuple[int, ...]:
        context, end = row.context, row.num_cached + row.num_new
        # The usual row runs its last token only, and is not worth joining two long tuples for.
        if row.num_new == 1 and context.num_output and end == self.num_prepended + context.num_tokens:
            return (context.last_output_id,)
        return self.position_ids(context.token_ids)[row.num_cached : end]


def bytes_per_position(runner: DecoderRunner) -> int:
    """Keys and values of one position in all layers."""
    config = runner.config
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * runner.cache_dtype.itemsize


def make_cache(runner: DecoderRunner, num_blocks: int, block_size: int) -> PagedKVCache:
    config = runner.config
    return PagedKVCache(
        config.num_layers,
        num_blocks,
        block_size,
        config.num_kv_heads,
        config.head_dim,
        dtype=runner.cache_dtype,
        device=runner.device,
    )
