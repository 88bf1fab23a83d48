"""Packed attention against a loop over sequences with the softmax written out."""

import itertools

import pytest
import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention

LENGTHS = [7, 1, 30, 8, 2, 29, 30, 3, 55, 5]


def attend_one_by_one(
    lengths: list[int],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    window: int | None,
    *,
    causal: bool = True,
    softcap: float | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """q [N, H, D]; k, v [N, K, D]; every query of every sequence by itself."""
    H, K = q.shape[1], k.shape[1]
    rows = []
    for start, length in zip(itertools.accumulate([0, *lengths]), lengths, strict=False):
        for place in range(start, start + length):
            first = start if window is None else max(start, place - window + 1)
            end = place + 1 if causal else start + length
            for head in range(H):
                keys, values = k[first:end, head // (H // K)], v[first:end, head // (H // K)]
                scores = scale * keys @ q[place, head]
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                if bias is not None:
                    middle = bias.shape[1] // 2
                    scores = scores + torch.stack(
                        [bias[head, middle + key - place] for key in range(first, end)]
                    )
                rows.append(scores.softmax(0) @ values)
    return torch.stack(rows).view_as(q)


def packed(lengths: list[int], num_kv_heads: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    N = sum(lengths)
    return [
        torch.randn(N, heads, 8, generator=generator).requires_grad_()
        for heads in (4, num_kv_heads, num_kv_heads)
    ]


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("window", [None, 1, 6, 1000])
def test_packed_sequences_attend_as_each_does_alone(window: int | None, num_kv_heads: int) -> None:
    q, k, v = packed(LENGTHS, num_kv_heads)
    got = PackedAttention(LENGTHS).attend(0, q, k, v, scale=0.3, window=window)
    torch.testing.assert_close(got, attend_one_by_one(LENGTHS, q, k, v, 0.3, window), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", [LENGTHS, [9], [3, 3, 3]])
@pytest.mark.parametrize("window", [None, 4])
def test_gradients_are_those_of_each_sequence_alone(lengths: list[int], window: int | None) -> None:
    inputs = packed(lengths)
    got = PackedAttention(lengths).attend(0, *inputs, scale=0.3, window=window)
    assert_same_with_gradients(got, attend_one_by_one(lengths, *inputs, 0.3, window), inputs)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("window", [None, 6])
def test_bfloat16_gives_what_float32_gives_but_for_rounding(window: int | None, num_kv_heads: int) -> None:
    inputs = packed(LENGTHS, num_kv_heads)
    rounded = [x.detach().bfloat16().requires_grad_() for x in inputs]
    results = []
    for tensors in (rounded, [x.detach().float().requires_grad_() for x in rounded]):
        got = PackedAttention(LENGTHS).attend(0, *tensors, scale=0.25, window=window)
        direction = torch.randn(got.shape, generator=torch.Generator().manual_seed(2))
        results.append([got.float(), *torch.autograd.grad((got * direction).sum(), tensors)])
    for in_bfloat16, in_float32 in zip(*results, strict=True):
        torch.testing.assert_close(in_bfloat16.float(), in_float32, atol=0.06, rtol=0.03)


@pytest.mark.parametrize("lengths", [LENGTHS, [9], [3, 3, 3]])
@pytest.mark.parametrize("softcap", [None, 0.5])
def test_a_sequence_is_seen_whole_where_attention_is_not_causal(
    lengths: list[int], softcap: float | None
) -> None:
    inputs = packed(lengths)
    attention = PackedAttention(lengths, causal=False)
    got = attention.attend(0, *inputs, scale=0.3, window=None, softcap=softcap)
    expected = attend_one_by_one(lengths, *inputs, 0.3, None, causal=False, softcap=softcap)
    assert_same_with_gradients(got, expected, inputs)


@pytest.mark.parametrize("window", [None, 4])
def test_capped_scores_are_capped_before_the_window_hides_any(window: int | None) -> None:
    inputs = packed([7, 30, 2, 29])
    got = PackedAttention([7, 30, 2, 29]).attend(0, *inputs, scale=2.0, window=window, softcap=1.5)
    expected = attend_one_by_one([7, 30, 2, 29], *inputs, 2.0, window, softcap=1.5)
    assert_same_with_gradients(got, expected, inputs)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("lengths", [[7, 12, 2, 11], [9], [3, 3]])
def test_a_bias_by_distance_is_added_and_gets_its_gradient(lengths: list[int], causal: bool) -> None:
    inputs = packed(lengths)
    bias = torch.randn(4, 2 * 15 - 1, generator=torch.Generator().manual_seed(3)).requires_grad_()
    got = PackedAttention(lengths, causal=causal).attend(0, *inputs, scale=1.0, window=None, bias=bias)
    expected = attend_one_by_one(lengths, *inputs, 1.0, None, causal=causal, bias=bias)
    assert_same_with_gradients(got, expected, [*inputs, bias])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
def test_bfloat16_with_bias_or_cap_gives_what_float32_gives_but_for_rounding(
    with_bias: bool, causal: bool
) -> None:
    rounded = [x.detach().bfloat16() for x in packed([7, 12, 2, 11])]
    bias = torch.randn(4, 31, generator=torch.Generator().manual_seed(3)) if with_bias else None
    softcap = None if with_bias else 1.0
    got, expected = (
        PackedAttention([7, 12, 2, 11], causal=causal).attend(
            0, *tensors, scale=0.5, window=None, softcap=softcap, bias=bias
        )
        for tensors in (rounded, [x.float() for x in rounded])
    )
    torch.testing.assert_close(got.float(), expected, atol=0.03, rtol=0.03)


def assert_same_with_gradients(got: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)
    direction = torch.randn(got.shape, generator=torch.Generator().manual_seed(2))
    pairs = zip(
        torch.autograd.grad((got * direction).sum(), inputs),
        torch.autograd.grad((expected * direction).sum(), inputs),
        strict=True,
    )
    for gradient, expected_gradient in pairs:
        torch.testing.assert_close(gradient, expected_gradient, atol=5e-6, rtol=1e-4)


def test_positions_start_again_in_each_sequence() -> None:
    assert PackedAttention([3, 1, 2]).positions.tolist() == [0, 1, 2, 0, 0, 1]


def test_another_sequence_changes_nothing() -> None:
    q, k, v = packed([5, 4])
    attention = PackedAttention([5, 4])
    before = attention.attend(0, q, k, v, scale=1.0, window=None)[:5]
    with torch.no_grad():
        k[5:] += 1
        v[5:] -= 1
    assert torch.equal(attention.attend(0, q, k, v, scale=1.0, window=None)[:5], before)


@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_a_sequence_without_tokens_is_a_mistake(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        PackedAttention(lengths)
