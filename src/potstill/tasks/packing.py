"""Examples laid end to end, so that no position is padding.

Which example goes where is a pure function of (lengths, batch_tokens, seed, epoch). That nothing attends
across examples is the attention's work: `layers.attention.PackedAttention(batch.lengths)`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.errors import ConfigError
from potstill.seeds import random_generator
from potstill.tasks.example import Example


class PackedBatch(NamedTuple):
    """B examples in a row, N tokens together, M of them predict a target.

    token_ids       [N] int64, prompt and target of each example without the target's last token
    lengths         B numbers of tokens, their sum is N
    loss_positions  [M] int64, rows of the hidden states whose next token is a target, ascending
    labels          [M] int64, those targets
    """

    token_ids: Tensor
    lengths: tuple[int, ...]
    loss_positions: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "PackedBatch":
        return PackedBatch(
            self.token_ids.to(device), self.lengths, self.loss_positions.to(device), self.labels.to(device)
        )


def pack(examples: Sequence[Example], batch_tokens: int, seed: int, epoch: int) -> Iterator[PackedBatch]:
    """Every example once, shuffled, in batches of at most `batch_tokens` positions."""
    for indices in plan_batches([example.num_tokens for example in examples], batch_tokens, seed, epoch):
        yield pack_batch([examples[index] for index in indices])


def plan_batches(
    num_tokens: Sequence[int], batch_tokens: int, seed: int, epoch: int
) -> list[tuple[int, ...]]:
    """Indices of the examples of each batch; `num_tokens` of an example are at most `batch_tokens`.

    Batches of one epoch are of nearly equal size: the smallest number of batches is counted first, and each
    is then closed at its even share, so that no optimizer step at the end hangs on two or three examples.
    """
    check_lengths(num_tokens, batch_tokens)
    order = random_generator(seed, "packing", epoch).permutation(len(num_tokens)).tolist()
    fewest = len(_fill(order, num_tokens, batch_tokens, share=batch_tokens))
    return _fill(order, num_tokens, batch_tokens, share=sum(num_tokens) / max(fewest, 1))


def check_lengths(num_tokens: Sequence[int], batch_tokens: int) -> None:
    """ConfigError that names the first example too long for any batch."""
    if too_long := [index for index, count in enumerate(num_tokens) if count > batch_tokens]:
        index = too_long[0]
        raise ConfigError(
            f"Example {index} has {num_tokens[index]:,} tokens and batch_tokens is {batch_tokens:,} "
            f"({len(too_long):,} such examples). Raise batch_tokens or leave them out."
        )


def pack_batch(examples: Sequence[Example]) -> PackedBatch:
    token_ids = chain.from_iterable((*example.prompt_ids, *example.target_ids[:-1]) for example in examples)
    positions: list[int] = []
    start = 0
    for example in examples:
        positions.extend(range(start + len(example.prompt_ids) - 1, start + example.num_tokens))
        start += example.num_tokens
    labels = chain.from_iterable(example.target_ids for example in examples)
    return PackedBatch(
        token_ids=torch.tensor(list(token_ids), dtype=torch.int64),
        lengths=tuple(example.num_tokens for example in examples),
        loss_positions=torch.tensor(positions, dtype=torch.int64),
        labels=torch.tensor(list(labels), dtype=torch.int64),
    )


def _fill(
    order: Sequence[int], num_tokens: Sequence[int], batch_tokens: int, share: float
) -> list[tuple[int, ...]]:
    """Cut `order` where a batch would overflow, or where the running total passes a multiple of `share`."""
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    size = total = 0
    for index in order:
        count = num_tokens[index]
        overflows = size + count > batch_tokens
        has_its_share = total + count / 2 > (len(batches) + 1) * share
        if batch and (overflows or has_its_share):
            batches.append(tuple(batch))
            batch, size = [], 0
        batch.append(index)
        size, total = size + count, total + count
    return [*batches, tuple(batch)] if batch else batches
