"""Packing changes no example's loss; accumulation is one large batch."""

import pytest
import torch
from torch.nn import functional as F

from potstill.layers.attention import PackedAttention
from potstill.tasks.packing import pack_batch
from potstill.training.objective import mean_target_loss, target_loss


def plain_loss(decoder, example) -> torch.Tensor:
    """One example alone, logits of every position, the prompt's left out."""
    ids = torch.tensor([*example.prompt_ids, *example.target_ids])
    logits = decoder.logits(decoder(ids[:-1], PackedAttention([len(ids) - 1])))
    return F.cross_entropy(
        logits[len(example.prompt_ids) - 1 :], ids[len(example.prompt_ids) :], reduction="sum"
    )


@pytest.mark.parametrize("tied", [True, False])
def test_a_packed_batch_has_the_loss_and_gradients_of_its_examples_alone(make_decoder, examples, tied):
    decoder = make_decoder(tied=tied)
    alone = [plain_loss(decoder, example) for example in examples]
    wanted = torch.autograd.grad(torch.stack(alone).sum(), list(decoder.parameters()))
    for example, loss in zip(examples, alone, strict=True):
        torch.testing.assert_close(target_loss(decoder, pack_batch([example])), loss, rtol=1e-5, atol=1e-5)
    packed = target_loss(decoder, pack_batch(examples))
    torch.testing.assert_close(packed, torch.stack(alone).sum(), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(packed, list(decoder.parameters())), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_what_an_example_says_does_not_reach_its_neighbours(make_decoder, examples):
    decoder = make_decoder()
    others = [examples[0]._replace(prompt_ids=examples[0].prompt_ids[::-1]), *examples[1:]]
    with torch.no_grad():
        hidden = [
            decoder(batch.token_ids, PackedAttention(batch.lengths))[examples[0].num_tokens :]
            for batch in (pack_batch(examples), pack_batch(others))
        ]
    assert torch.equal(*hidden)


def test_the_mean_loss_counts_each_target_once_whatever_the_batches(make_decoder, examples):
    decoder = make_decoder()
    with torch.no_grad():
        wanted = sum(plain_loss(decoder, example).item() for example in examples)
    wanted /= sum(len(example.target_ids) for example in examples)
    for batch_tokens in (16, 70, 2048):
        assert mean_target_loss(decoder, examples, batch_tokens) == pytest.approx(wanted, rel=1e-5)
    assert decoder.training
