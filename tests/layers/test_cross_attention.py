"""Attention over prompts, packed and in blocks, against the softmax written out."""

import pytest
import torch
from torch import Tensor

from potstill.layers.cross_attention import (
    KeysValues,
    PackedCrossAttention,
    PagedCrossAttention,
    PromptRows,
    write_prompts,
)
from potstill.layers.kv_cache import PagedKVCache, PagedRows

QUERY_LENGTHS, PROMPT_LENGTHS = [3, 1, 5], [4, 9, 1]


def attend_one_by_one(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """q [N, H, D]; keys, values [S, K, D]; every query by itself."""
    H, K = q.shape[1], keys.shape[1]
    rows = []
    first = start = 0
    for num_queries, length in zip(QUERY_LENGTHS, PROMPT_LENGTHS, strict=True):
        for query in range(first, first + num_queries):
            for head in range(H):
                k = keys[start : start + length, head // (H // K)]
                v = values[start : start + length, head // (H // K)]
                rows.append((scale * k @ q[query, head]).softmax(0) @ v)
        first, start = first + num_queries, start + length
    return torch.stack(rows).view_as(q)


def inputs(num_kv_heads: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((9, 4), (14, num_kv_heads), (14, num_kv_heads))
    return [torch.randn(*shape, 8, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("num_kv_heads", [2, 4])
def test_packed_queries_see_their_prompts_with_gradients(num_kv_heads: int) -> None:
    q, keys, values = inputs(num_kv_heads)
    cross = PackedCrossAttention(QUERY_LENGTHS, PROMPT_LENGTHS, [KeysValues(keys, values)])
    got, expected = cross.attend(0, q, scale=0.3), attend_one_by_one(q, keys, values, 0.3)
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)
    direction = torch.randn(got.shape, generator=torch.Generator().manual_seed(2))
    for gradient, wanted in zip(
        torch.autograd.grad((got * direction).sum(), [q, keys, values]),
        torch.autograd.grad((expected * direction).sum(), [q, keys, values]),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted, atol=5e-6, rtol=1e-4)


@pytest.mark.parametrize("num_kv_heads", [2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_prompts_in_blocks_are_seen_as_packed_ones_are(num_kv_heads: int, dtype: torch.dtype) -> None:
    q, keys, values = (x.detach().to(dtype) for x in inputs(num_kv_heads))
    cache = PagedKVCache(2, 12, 4, num_kv_heads, 8, dtype=dtype)
    tables = [[5], [7, 2, 9], [0]]
    placed = PagedRows.of(tables, [0, 0, 0], PROMPT_LENGTHS, cache)
    write_prompts(cache, placed, [KeysValues(keys * 0, keys * 0), KeysValues(keys, values)])
    rows = PagedRows.of([[1], [3], [4, 6]], [0, 2, 1], QUERY_LENGTHS, cache)
    cross = PagedCrossAttention(rows, PromptRows.of(tables, PROMPT_LENGTHS, cache), cache)
    got = cross.attend(1, q, scale=0.3)
    torch.testing.assert_close(got, attend_one_by_one(q, keys, values, 0.3), atol=2e-6, rtol=1e-5)
