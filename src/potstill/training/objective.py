"""The number that training makes smaller: how surprised the model is by the targets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention
from potstill.layers.losses import chunked_cross_entropy
from potstill.tasks.example import Example
from potstill.tasks.packing import PackedBatch, pack_batch, plan_batches

if TYPE_CHECKING:
    from potstill.models.decoder import Decoder


def target_loss(decoder: "Decoder", batch: PackedBatch) -> Tensor:
    """The sum of -log p over the batch's targets, in nats; the head runs on their M rows only."""
    attention = PackedAttention(batch.lengths, device=batch.token_ids.device)
    hidden = decoder(batch.token_ids, attention)  # [N, E]
    return chunked_cross_entropy(
        hidden.index_select(0, batch.loss_positions),
        decoder.head_weight,
        batch.labels,
        head_bias=decoder.head_bias,
        softcap=decoder.logit_softcap,
    )


@torch.no_grad()
def mean_target_loss(decoder: "Decoder", examples: Sequence[Example], batch_tokens: int) -> float:
    """Nats a target token over all examples, without dropout and without gradients."""
    device = decoder.head_weight.device
    was_training = decoder.training
    decoder.eval()
    total = 0.0
    for indices in plan_batches([example.num_tokens for example in examples], batch_tokens, seed=0, epoch=0):
        batch = pack_batch([examples[index] for index in indices]).to(device)
        total += target_loss(decoder, batch).item()
    decoder.train(was_training)
    return total / sum(len(example.target_ids) for example in examples)
