"""How likely a model finds given targets after given prompts, for thousands of pairs at once.

Tokens of many requests are packed without padding. Requests are sorted by their tokens, so those that begin
alike stand together and run what they share once, through a paged cache of this call's own.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from potstill import _native
from potstill.errors import DamagedError, UsageError
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.lm.decoder import NeuralDecoder, make_cache
from potstill.models.runner import DecoderRunner
from potstill.progress import Task

# Logits of at most this many rows are held at a time, and of fewer where those would take more bytes: 256
# rows of 262,144 bfloat16 numbers are 128 MiB.
_HEAD_ROWS = 256
_HEAD_BYTES = 128 << 20


class ScoringRequest(NamedTuple):
    prompt_ids: tuple[int, ...]
    target_ids: tuple[int, ...]


def score_targets(
    model: NeuralDecoder,
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    batch_tokens: int = 2048,
    task: Task | None = None,
) -> list[float]:
    """log p(target | prompt) in nats, summed over each target's tokens, in the order of `requests`.

    About `batch_tokens` positions run at once; `task` advances by requests. UsageError for a request longer
    than the model's context, or one whose first token nothing stands before; DamagedError for a model whose
    logits are no numbers.
    """
    scores = score_target_tokens(model, requests, batch_tokens=batch_tokens, task=task)
    return [math.fsum(logprobs) for logprobs in scores]


def score_target_tokens(
    model: NeuralDecoder,
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    batch_tokens: int = 2048,
    task: Task | None = None,
) -> list[np.ndarray]:
    """log p of each target token given its prompt and the target before it: [tokens of the target] float64.

    In the order of `requests`, with the errors of `score_targets`.
    """
    asked: dict[ScoringRequest, list[int]] = {}
    for index, (prompt_ids, target_ids) in enumerate(requests):
        asked.setdefault(ScoringRequest(tuple(prompt_ids), tuple(target_ids)), []).append(index)
    rows = sorted(_row_of(model, request) for request in asked if request.target_ids)
    if task is not None:
        task.advance(sum(not target_ids for _, target_ids in requests))
    scores = [np.empty(0)] * len(requests)
    if not rows:
        return scores

    longest = max(len(row.position_ids) for row in rows)
    num_blocks = -(-max(2 * batch_tokens, longest) // model.block_size)
    cache = make_cache(model.runner, num_blocks, model.block_size)
    buffer = make_buffer(model.runner)
    for batch in _batches(rows, batch_tokens, cache):
        for placed, logprobs in zip(batch, _score_batch(model.runner, cache, buffer, batch), strict=True):
            if np.isnan(logprobs).any():
                raise DamagedError(
                    "The model gives scores that are no numbers, so its weights are damaged. "
                    "Fetch it again, or train it again into a new folder."
                )
            for index in asked[placed.row.request]:
                scores[index] = logprobs
        if task is not None:
            task.advance(sum(len(asked[placed.row.request]) for placed in batch))
    return scores


class _Row(NamedTuple):
    """`position_ids` are run; the logits of those from `first_logit` on tell of the target's tokens."""

    position_ids: tuple[int, ...]
    first_logit: int
    request: ScoringRequest


class _Placed(NamedTuple):
    """A row in a batch: its first `num_cached` positions are run by rows before it."""

    row: _Row
    block_table: list[int]
    num_cached: int

    @property
    def num_new(self) -> int:
        return len(self.row.position_ids) - self.num_cached


def _row_of(model: NeuralDecoder, request: ScoringRequest) -> _Row:
    position_ids = model.position_ids(request.prompt_ids + request.target_ids)
    first_logit = len(position_ids) - len(request.target_ids) - 1
    if first_logit < 0:
        raise UsageError("A prompt is empty and this model has no BOS to begin with: give it a first word.")
    if len(position_ids) > model.max_positions:
        raise UsageError(
            f"A prompt of {len(request.prompt_ids):,} tokens and a target of {len(request.target_ids):,} "
            f"are longer than the model's context of {model.max_positions:,} positions. Shorten one of them."
        )
    return _Row(position_ids[:-1], first_logit, request)


def _batches(rows: Iterable[_Row], batch_tokens: int, cache: PagedKVCache) -> Iterator[list[_Placed]]:
    """Sorted rows in batches; each shares full blocks with the row before it as far as they agree."""
    batch: list[_Placed] = []
    num_tokens = num_blocks = 0
    for row in rows:
        placed = _place(row, batch[-1] if batch else None, num_blocks, cache.block_size)
        is_full = num_tokens + placed.num_new > batch_tokens or placed.block_table[-1] >= cache.num_blocks
        if batch and is_full:
            yield batch
            batch, num_tokens, num_blocks = [], 0, 0
            placed = _place(row, None, 0, cache.block_size)
        batch.append(placed)
        num_tokens += placed.num_new
        num_blocks = placed.block_table[-1] + 1
    yield batch


def _place(row: _Row, before: _Placed | None, first_free: int, block_size: int) -> _Placed:
    shared: list[int] = []
    if before is not None:
        agreeing = _num_agreeing(row.position_ids, before.row.position_ids)
        # What is shared is not run again, so no logits could be had there.
        shared = before.block_table[: min(agreeing, row.first_logit) // block_size]
    num_fresh = -(-len(row.position_ids) // block_size) - len(shared)
    table = [*shared, *range(first_free, first_free + num_fresh)]
    return _Placed(row, table, len(shared) * block_size)


def _num_agreeing(first: Sequence[int], second: Sequence[int]) -> int:
    for position, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return position
    return min(len(first), len(second))


@torch.inference_mode()
def _score_batch(
    runner: DecoderRunner, cache: PagedKVCache, buffer: Tensor, batch: Sequence[_Placed]
) -> list[np.ndarray]:
    num_new = [placed.num_new for placed in batch]
    rows = PagedRows.of(
        [placed.block_table for placed in batch], [placed.num_cached for placed in batch], num_new, cache
    )
    device = cache.device
    new_ids = (placed.row.position_ids[placed.num_cached :] for placed in batch)
    token_ids = torch.tensor(list(chain.from_iterable(new_ids)), device=device)
    hidden = runner.hidden(token_ids, rows, cache)  # [N, E]

    targets = [placed.row.request.target_ids for placed in batch]
    lengths = [len(target) for target in targets]
    # A target's logits are those of its row's last positions.
    ends = torch.tensor(num_new).cumsum(0)
    wanted = torch.cat([torch.arange(end - size, end) for end, size in zip(ends, lengths, strict=True)])
    labels = torch.tensor(list(chain.from_iterable(targets)), device=device)
    logprobs = label_logprobs(runner, hidden[wanted.to(device)], labels, buffer)  # [M]
    return np.split(logprobs.double().cpu().numpy(), np.cumsum(lengths)[:-1])


def label_logprobs(runner: DecoderRunner, hidden: Tensor, labels: Tensor, buffer: Tensor) -> Tensor:
    """log p(label) of each row, [M] float32; hidden [M, E], labels [M].

    As many rows of logits as `buffer` [rows, V] holds are made at a time, in it.
    """
    parts = []
    for rows, row_labels in zip(
        torch.split(hidden, len(buffer)), torch.split(labels, len(buffer)), strict=True
    ):
        logits = runner.logits(rows, buffer[: len(rows)])  # [chunk, V]
        parts.append(logits.gather(-1, row_labels[:, None])[:, 0].float() - logsumexp(logits))
    return torch.cat(parts)


def make_buffer(runner: DecoderRunner) -> Tensor:
    """Room for a chunk of logits: new memory for each would cost a fifth of the time, in page faults."""
    dtype, vocab_size = runner.logits_dtype, runner.config.vocab_size
    num_rows = min(_HEAD_ROWS, max(1, _HEAD_BYTES // (vocab_size * dtype.itemsize)))
    return torch.empty(num_rows, vocab_size, dtype=dtype, device=runner.device)


def logsumexp(logits: Tensor) -> Tensor:
    """Over the last axis, summed in float32: [M, V] to [M]."""
    if logits.device.type != "cpu":
        return logits.float().logsumexp(-1)
    return torch.from_numpy(_native.logsumexp(logits.contiguous()))
