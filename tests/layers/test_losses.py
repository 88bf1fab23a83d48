"""The chunked loss against plain cross-entropy over whole logits."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from potstill.layers.losses import chunked_cross_entropy


def plain_loss(hidden: Tensor, head: Tensor, labels: Tensor, softcap: float | None) -> Tensor:
    logits = hidden @ head.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits, labels, reduction="sum")


def inputs(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    hidden = torch.randn(rows, 16, generator=generator).to(dtype).requires_grad_()
    head = torch.randn(301, 16, generator=generator).to(dtype).requires_grad_()
    return hidden, head, torch.randint(301, (rows,), generator=generator)


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("chunk_rows", [1, 7, 20, 64])
def test_loss_and_both_gradients_are_those_of_plain_cross_entropy(chunk_rows, softcap):
    hidden, head, labels = inputs(20)
    wanted = torch.autograd.grad(plain_loss(hidden, head, labels, softcap) / 20, (hidden, head))
    loss = chunked_cross_entropy(hidden, head, labels, chunk_rows=chunk_rows, softcap=softcap)
    got = torch.autograd.grad(loss / 20, (hidden, head))
    torch.testing.assert_close(loss, plain_loss(hidden, head, labels, softcap), rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_gradients_are_those_of_finite_differences(softcap):
    hidden, head, labels = inputs(5, torch.float64)
    assert torch.autograd.gradcheck(
        lambda h, w: chunked_cross_entropy(h, w, labels, chunk_rows=2, softcap=softcap), (hidden, head)
    )


def test_a_frozen_head_gets_no_gradient_and_changes_nothing_else():
    hidden, head, labels = inputs(9)
    both = torch.autograd.grad(chunked_cross_entropy(hidden, head, labels), (hidden, head))[0]
    chunked_cross_entropy(hidden, head.detach(), labels).backward()
    assert torch.equal(hidden.grad, both)


def test_the_loss_is_the_same_where_gradients_are_off():
    hidden, head, labels = inputs(9)
    with torch.no_grad():
        loss = chunked_cross_entropy(hidden, head, labels)
    assert not loss.requires_grad
    assert torch.equal(loss, chunked_cross_entropy(hidden, head, labels).detach())


def test_huge_logits_neither_overflow_nor_lose_the_unlikely_label():
    hidden = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    head = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = chunked_cross_entropy(hidden, head, torch.tensor([1]))
    loss.backward()
    assert loss.item() == 2000.0
    assert hidden.grad.tolist() == [[2.0, 0.0]]


def test_bfloat16_sums_in_float32():
    hidden, head, labels = inputs(64, torch.bfloat16)
    loss = chunked_cross_entropy(hidden, head, labels)
    loss.backward()
    exact = plain_loss(hidden.detach().float(), head.detach().float(), labels, None)
    assert loss.dtype == torch.float32
    assert hidden.grad.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(exact.item(), rel=2e-3)


def test_a_label_outside_the_vocabulary_is_refused():
    hidden, head, _ = inputs(1)
    with pytest.raises((IndexError, RuntimeError)):
        chunked_cross_entropy(hidden, head, torch.tensor([301]))
