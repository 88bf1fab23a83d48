"""Models for engine tests: one whose answer depends on every token, and one that lives by its cache."""

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

from potstill.lm.context import Context
from potstill.lm.protocol import StepRow
from potstill.tokenization.tokenizer import Tokenizer


class WholeContextModel:
    """A random distribution for each context, so any token lost or mixed up between rows shows."""

    def __init__(self, vocab_size: int = 50) -> None:
        self.vocab_size = vocab_size

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        scores = np.stack([self._scores(context.token_ids) for context in contexts])
        return (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)

    def _scores(self, token_ids: tuple[int, ...]) -> np.ndarray:
        seed = zlib.crc32(np.asarray(token_ids, dtype=np.int64).tobytes())
        return 2 * np.random.default_rng(seed).standard_normal(self.vocab_size)


class RecallingDecoder:
    """Keeps the tokens themselves in its blocks and answers from what it finds there alone."""

    num_prepended = 1
    cache_bytes = 0
    encodes_prompt = False
    max_prompt_tokens = None

    def __init__(self, num_blocks: int = 64, block_size: int = 4, max_positions: int = 10_000) -> None:
        self.model = WholeContextModel()
        self.vocab_size = self.model.vocab_size
        self.num_blocks, self.block_size, self.max_positions = num_blocks, block_size, max_positions
        self.cache = np.full((num_blocks, block_size), -7)
        self.steps: list[list[StepRow]] = []

    def step(self, rows: Sequence[StepRow]) -> torch.Tensor:
        self.steps.append(list(rows))
        for row in rows:
            token_ids, end = (-1, *row.context.token_ids), row.num_cached + row.num_new
            assert row.num_new >= max(row.num_logits, 1) and end <= self.max_positions
            assert (row.num_logits > 0) == (end == len(token_ids))
            for position in range(row.num_cached, end):
                self._slot(row, position)[...] = token_ids[position]
        return self._answers(rows)

    def _answers(self, rows: Sequence[StepRow]) -> torch.Tensor:
        asked = [
            self._recalled(row._replace(num_new=row.num_new - behind))
            for row in rows
            for behind in reversed(range(row.num_logits))
        ]
        return torch.from_numpy(self.model.next_logprobs(asked)) if asked else torch.empty(0, self.vocab_size)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        for source, target in pairs:
            self.cache[target] = self.cache[source]

    def _recalled(self, row: StepRow) -> Context:
        found = [int(self._slot(row, position)) for position in range(row.num_cached + row.num_new)]
        assert found[0] == -1
        return Context(tuple(found[1:]))

    def _slot(self, row: StepRow, position: int) -> np.ndarray:
        block = row.block_table[position // self.block_size]
        return self.cache[block, position % self.block_size : position % self.block_size + 1].reshape(())


class RecallingEncoderDecoder(RecallingDecoder):
    """Keeps prompts in encoder blocks and outputs in its own, and answers from what it finds there alone."""

    encodes_prompt = True

    def __init__(self, max_prompt_tokens: int | None = None, **sizes: int) -> None:
        super().__init__(**sizes)
        self.max_prompt_tokens = max_prompt_tokens
        self.num_encoded = 0

    def step(self, rows: Sequence[StepRow]) -> torch.Tensor:
        self.steps.append(list(rows))
        for row in rows:
            self._write(row)
        return self._answers(rows)

    def _write(self, row: StepRow) -> None:
        prompt_ids, token_ids = row.context.prompt_ids, (-1, *row.context.output_ids)
        end = row.num_cached + row.num_new
        assert row.num_new >= max(row.num_logits, 1) and end <= self.max_positions
        assert (row.num_logits > 0) == (end == len(token_ids))
        assert len(row.encoder_table) * self.block_size >= len(prompt_ids)
        self.num_encoded += row.encodes
        for position in range(len(prompt_ids) if row.encodes else 0):
            self._slot(row._replace(block_table=row.encoder_table), position)[...] = prompt_ids[position]
        for position in range(row.num_cached, end):
            self._slot(row, position)[...] = token_ids[position]

    def _recalled(self, row: StepRow) -> Context:
        encoder = row._replace(
            block_table=row.encoder_table, num_cached=0, num_new=len(row.context.prompt_ids)
        )
        prompt_ids = [int(self._slot(encoder, position)) for position in range(encoder.num_new)]
        return Context(tuple(prompt_ids), super()._recalled(row).prompt_ids)


@pytest.fixture
def whole_context_model() -> WholeContextModel:
    return WholeContextModel()


@pytest.fixture
def recalling_decoder() -> type[RecallingDecoder]:
    return RecallingDecoder


@pytest.fixture
def recalling_encoder_decoder() -> type[RecallingEncoderDecoder]:
    return RecallingEncoderDecoder


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A token a byte, and an end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({char: index for index, char in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken("<eos>", special=True)])
    return Tokenizer(backend, bos_id=None, eos_ids=(256,))
