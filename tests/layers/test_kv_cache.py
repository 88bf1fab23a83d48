import pytest
import torch

from potstill.layers.kv_cache import PagedAttention, PagedKVCache

BLOCK_SIZE = 4


def attend_obviously(q, k, v, position, *, scale, window):
    """One query [H, D] at `position` over k, v [S, K, D]."""
    first = 0 if window is None else max(0, position - window + 1)
    group = q.shape[0] // k.shape[1]
    out = torch.empty_like(q)
    for head in range(q.shape[0]):
        scores = k[first : position + 1, head // group] @ q[head] * scale
        out[head] = scores.softmax(0) @ v[first : position + 1, head // group]
    return out


@pytest.mark.parametrize("window", [None, 1, 5])
@pytest.mark.parametrize("num_kv_heads", [1, 2])
def test_attention_over_blocks_equals_attention_over_whole_sequences(window, num_kv_heads):
    torch.manual_seed(0)
    H, D, lengths = 4, 8, (11, 3, 7)
    cache = PagedKVCache(2, 12, BLOCK_SIZE, num_kv_heads, D, dtype=torch.float32)
    tables = [[5, 0, 9], [3], [7, 1]]
    q = [torch.randn(n, H, D) for n in lengths]
    k, v = ([torch.randn(n, num_kv_heads, D) for n in lengths] for _ in range(2))

    cached = [0, 0, 0]
    for new in ([6, 1, 7], [4, 1, None], [1, 1, None]):
        rows = [row for row in range(3) if new[row]]
        attention = PagedAttention(
            cache, [tables[r] for r in rows], [cached[r] for r in rows], [new[r] for r in rows]
        )
        parts = [slice(cached[r], cached[r] + new[r]) for r in rows]
        packed = [torch.cat([x[r][part] for r, part in zip(rows, parts, strict=True)]) for x in (q, k, v)]
        got = attention.attend(1, *packed, scale=0.3, window=window)
        want = [
            attend_obviously(q[r][p], k[r], v[r], p, scale=0.3, window=window)
            for r, part in zip(rows, parts, strict=True)
            for p in range(part.start, part.stop)
        ]
        torch.testing.assert_close(got, torch.stack(want), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            attention.positions, torch.cat([torch.arange(part.start, part.stop) for part in parts])
        )
        for row in rows:
            cached[row] += new[row]
    assert not cache.keys[0].any()


def test_a_block_counts_the_bytes_of_all_its_layers():
    cache = PagedKVCache(3, 5, BLOCK_SIZE, 2, 8, dtype=torch.bfloat16)
    assert cache.bytes_per_block * cache.num_blocks == 2 * cache.keys.numel() * 2
