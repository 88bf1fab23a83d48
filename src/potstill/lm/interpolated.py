"""A neural model and an ∞-gram as one language model: log(λ P∞ + (1 - λ) P_neural) of every token."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.infinigram import Distribution, InfinigramModel
from potstill.lm.interpolation import Interpolation
from potstill.lm.protocol import BatchedDecoder, NextTokenModel, StepRow


class InterpolatedModel:
    """The definition, over any neural model that shares the index's vocabulary."""

    def __init__(self, infinigram: InfinigramModel, neural: NextTokenModel, weights: Interpolation) -> None:
        """UsageError where the two have vocabularies of different sizes."""
        _require_same_size(infinigram, neural)
        self.infinigram, self.neural, self.weights = infinigram, neural, weights
        self.vocab_size = neural.vocab_size

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        logprobs = torch.from_numpy(self.neural.next_logprobs(contexts))  # [B, V]
        found = self.infinigram.distributions(contexts)
        mixed: np.ndarray = mix_rows(logprobs, found, self.weights).numpy()
        return mixed


class CachedModel(NextTokenModel, BatchedDecoder, Protocol):
    """A model with its definition and its cached steps, as `NeuralDecoder` is."""


class InterpolatedDecoder:
    """The cached form: the neural model has its cache, the index needs none."""

    def __init__(self, infinigram: InfinigramModel, neural: CachedModel, weights: Interpolation) -> None:
        """UsageError where the two have vocabularies of different sizes."""
        _require_same_size(infinigram, neural)
        self.infinigram, self.neural, self.weights = infinigram, neural, weights
        self.vocab_size, self.num_prepended = neural.vocab_size, neural.num_prepended
        self.num_blocks, self.block_size = neural.num_blocks, neural.block_size
        self.max_positions, self.cache_bytes = neural.max_positions, neural.cache_bytes
        self.encodes_prompt, self.max_prompt_tokens = neural.encodes_prompt, neural.max_prompt_tokens

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        return InterpolatedModel(self.infinigram, self.neural, self.weights).next_logprobs(contexts)

    def step(self, rows: Sequence[StepRow]) -> Tensor:
        logprobs = self.neural.step(rows).float().log_softmax(-1)  # [M, V]
        asked = [context for row in rows for context in row.asked]
        return mix_rows(logprobs, self.infinigram.distributions(asked), self.weights)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        self.neural.copy_blocks(pairs)


def mix_rows(logprobs: Tensor, found: Sequence[Distribution], weights: Interpolation) -> Tensor:
    """[B, V] of the mixture, from the neural log-probabilities [B, V] and the ∞-gram's B distributions."""
    lambdas = np.array([weights.weight(distribution.is_sparse) for distribution in found])
    rest = torch.from_numpy(np.log1p(-lambdas)).to(logprobs)
    mixed = logprobs + rest[:, None]
    for row, (weight, distribution) in enumerate(zip(lambdas, found, strict=True)):
        if weight > 0:
            ids = torch.from_numpy(distribution.ids).to(mixed.device)
            seen = torch.from_numpy(np.log(weight * distribution.probs)).to(mixed)
            mixed[row, ids] = torch.logaddexp(mixed[row, ids], seen)
    return mixed


def _require_same_size(infinigram: InfinigramModel, neural: NextTokenModel | BatchedDecoder) -> None:
    if infinigram.vocab_size != neural.vocab_size:
        raise UsageError(
            f"The ∞-gram has {infinigram.vocab_size:,} tokens and the neural model {neural.vocab_size:,}; "
            f"models that are mixed share one vocabulary. Build the index with this model's tokenizer."
        )
