"""An encoder-decoder as a language model: the prompt is encoded once, the output decoded token by token.

What the decoder sees of a prompt, keys and values of the shape of its own, lies in blocks of the same cache.
A prompt is taken as it is: whoever tokenizes it ends it with EOS, as encoders are trained on it.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from potstill.errors import ConfigError, UsageError
from potstill.layers.cross_attention import PromptRows
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.lm.context import Context
from potstill.lm.protocol import StepRow, wanted_positions
from potstill.models.t5 import T5
from potstill.models.t5_runner import EncoderDecoderRunner, TorchT5Runner


class EncoderDecoder:
    """A T5 with a cache of at most `kv_bytes`, for prompts and outputs together.

    A bare `T5` is run by torch, with whatever weights it has at each step. Positions are the start token and
    the output.
    """

    encodes_prompt = True
    num_prepended = 1

    def __init__(self, runner: EncoderDecoderRunner | T5, *, kv_bytes: int, block_size: int = 16) -> None:
        self.runner: EncoderDecoderRunner = TorchT5Runner(runner) if isinstance(runner, T5) else runner
        self.block_size = block_size
        self.max_positions = self.max_prompt_tokens = self.runner.config.max_positions
        block_bytes = self._bytes_per_position * block_size
        if kv_bytes < block_bytes:
            raise ConfigError(
                f"kv_bytes is {kv_bytes:,}; one block of {block_size} positions takes {block_bytes:,} bytes."
            )
        self._cache = self._make_cache(kv_bytes // block_bytes)

    @property
    def vocab_size(self) -> int:
        return self.runner.config.vocab_size

    @property
    def num_blocks(self) -> int:
        return self._cache.num_blocks

    @property
    def cache_bytes(self) -> int:
        return self._cache.num_blocks * self._cache.bytes_per_block

    @property
    def device(self) -> torch.device:
        return self.runner.device

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._cache.copy_blocks(pairs)

    @torch.inference_mode()
    def step(self, rows: Sequence[StepRow]) -> Tensor:
        """Logits [M, V] in the runner's type."""
        self._encode([row for row in rows if row.encodes])
        num_new = [row.num_new for row in rows]
        placed = PagedRows.of(
            [row.block_table for row in rows], [row.num_cached for row in rows], num_new, self._cache
        )
        prompts = PromptRows.of(
            [row.encoder_table for row in rows], [len(row.context.prompt_ids) for row in rows], self._cache
        )
        return self.runner.step(
            self._packed(map(self._new_ids, rows)),
            placed,
            prompts,
            self._cache,
            torch.from_numpy(wanted_positions(rows)).to(self.device),
        )

    @torch.inference_mode()
    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        if not all(context.prompt_ids for context in contexts):
            raise UsageError("A prompt is empty; an encoder needs a token, if only the EOS that ends it.")
        prompts = [context.prompt_ids for context in contexts]
        outputs = [self._position_ids(context) for context in contexts]
        logits = self.runner.logits_of_whole(
            self._packed(prompts), list(map(len, prompts)), self._packed(outputs), list(map(len, outputs))
        )  # [B, V]
        logprobs: np.ndarray = logits.float().log_softmax(-1).cpu().numpy()
        return logprobs

    def _encode(self, rows: Sequence[StepRow]) -> None:
        """Each table once: rows of one prompt share it."""
        prompts = {tuple(row.encoder_table): row.context.prompt_ids for row in rows}
        if prompts:
            lengths = list(map(len, prompts.values()))
            placed = PagedRows.of(list(prompts), [0] * len(prompts), lengths, self._cache)
            self.runner.encode(self._packed(prompts.values()), placed, self._cache)

    def _position_ids(self, context: Context) -> tuple[int, ...]:
        return (self.runner.config.decoder_start_token_id, *context.output_ids)

    def _new_ids(self, row: StepRow) -> tuple[int, ...]:
        end = row.num_cached + row.num_new
        # The usual row runs its last token only, and is not worth copying a long tuple for.
        if row.num_new == 1 and 1 < end == row.context.num_output + 1:
            return (row.context.last_output_id,)
        return self._position_ids(row.context)[row.num_cached : end]

    def _packed(self, sequences: Iterable[Sequence[int]]) -> Tensor:
        return torch.tensor(list(chain.from_iterable(sequences)), device=self.device)

    @property
    def _bytes_per_position(self) -> int:
        """Keys and values of one position in all layers of the decoder."""
        config = self.runner.config
        return (
            2 * config.num_decoder_layers * config.num_heads * config.d_kv * self.runner.cache_dtype.itemsize
        )

    def _make_cache(self, num_blocks: int) -> PagedKVCache:
        config = self.runner.config
        return PagedKVCache(
            config.num_decoder_layers,
            num_blocks,
            self.block_size,
            config.num_heads,
            config.d_kv,
            dtype=self.runner.cache_dtype,
            device=self.device,
        )
