"""Cross-entropy over a large vocabulary, a chunk of rows at a time.

A batch of 2,000 targets over Gemma's 262,144 tokens would need 2 GiB of logits and as much again for their
gradient. Only one chunk of rows is ever held here. It does not average: the caller knows the number of
targets of a whole optimizer step, which a single batch does not.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

DEFAULT_CHUNK_ROWS = 256

# A few rows of float32 logits stay in the last-level cache while they are turned into a gradient.
_ROWS_IN_CACHE = 8


def chunked_cross_entropy(
    hidden: Tensor,
    head_weight: Tensor,
    labels: Tensor,
    *,
    head_bias: Tensor | None = None,
    chunk_rows: int = DEFAULT_CHUNK_ROWS,
    softcap: float | None = None,
) -> Tensor:
    """The sum over M targets of -log p(label), in nats; float32, or float64 where `hidden` is.

    hidden [M, E], head_weight [V, E] and head_bias [V] of one dtype; labels [M] int64 in [0, V). The logits
    are hidden @ head_weight.T + head_bias, with `softcap` squashed to softcap * tanh(logits / softcap)
    (Gemma 2, arXiv:2408.00118, section 2). At most `chunk_rows` * V of them are held, in hidden's dtype;
    their log-sum-exp is float32 whatever the dtype. Gradients are computed in the forward pass, those of the
    head only if they are asked for; none of them where gradients are switched off. Differentiable once.
    """
    M, E = hidden.shape
    assert head_weight.shape[1] == E and labels.shape == (M,), "hidden [M, E], head_weight [V, E], labels [M]"
    wanted = _Wanted(
        hidden=torch.is_grad_enabled() and hidden.requires_grad,
        head=torch.is_grad_enabled() and head_weight.requires_grad,
        bias=torch.is_grad_enabled() and head_bias is not None and head_bias.requires_grad,
    )
    loss: Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, head_weight, head_bias, labels, chunk_rows, softcap, wanted
    )
    return loss


class _Wanted(NamedTuple):
    """Whose gradients the backward pass will ask for."""

    hidden: bool
    head: bool
    bias: bool


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head_weight: Tensor,
        head_bias: Tensor | None,
        labels: Tensor,
        chunk_rows: int,
        softcap: float | None,
        wanted: _Wanted,
    ) -> Tensor:
        exact = torch.promote_types(hidden.dtype, torch.float32)
        loss = torch.zeros((), dtype=exact, device=hidden.device)
        grad_hidden = torch.empty_like(hidden, dtype=exact) if wanted.hidden else None  # [M, E]
        grad_head = torch.zeros_like(head_weight, dtype=exact) if wanted.head else None  # [V, E]
        grad_bias = hidden.new_zeros(len(head_weight), dtype=exact) if wanted.bias else None  # [V]

        # One buffer for all chunks: the kernel hands out fresh memory of this size a page fault at a time.
        buffer = hidden.new_empty(min(chunk_rows, len(hidden)), len(head_weight))  # [C, V]

        for start in range(0, len(hidden), chunk_rows):
            rows = slice(start, start + chunk_rows)
            logits = torch.mm(hidden[rows], head_weight.T, out=buffer[: len(labels[rows])])
            if head_bias is not None:
                logits += head_bias
            loss += _to_gradient_(logits, labels[rows], softcap)
            if grad_hidden is not None:
                grad_hidden[rows] = logits @ head_weight
            if grad_head is not None:
                grad_head += logits.T @ hidden[rows]
            if grad_bias is not None:
                grad_bias += logits.sum(0, dtype=exact)

        ctx.save_for_backward(grad_hidden, grad_head, grad_bias)
        ctx.dtypes = hidden.dtype, head_weight.dtype, head_weight.dtype
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grads = (
            None if grad is None else (grad * grad_loss).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*grads, None, None, None, None)


def _to_gradient_(logits: Tensor, labels: Tensor, softcap: float | None) -> Tensor:
    """The loss of C rows; `logits` [C, V] is overwritten by the loss's gradient with respect to it."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    loss = torch.zeros((), dtype=exact, device=logits.device)
    for start in range(0, len(logits), _ROWS_IN_CACHE):
        few, few_labels = logits[start : start + _ROWS_IN_CACHE], labels[start : start + _ROWS_IN_CACHE]
        capped = few.to(exact)  # [R, V]
        slope = None
        if softcap is not None:
            squashed = torch.tanh(capped / softcap)
            capped, slope = softcap * squashed, 1 - squashed**2
        logprobs = torch.log_softmax(capped, dim=-1)
        loss -= logprobs.gather(1, few_labels[:, None]).sum()
        gradient = logprobs.exp_()
        # Subtracted here and not after the product with the head: p - 1 near 0 would drown in its rounding.
        gradient[torch.arange(len(few_labels), device=few_labels.device), few_labels] -= 1
        few.copy_(gradient if slope is None else gradient * slope)
    return loss
