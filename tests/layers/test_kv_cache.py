import math
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from potstill import _native
from potstill.layers.kv_cache import PagedAttention, PagedKVCache, PagedRows, attend_native, attend_plain

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
    cache.keys.zero_()
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


@pytest.mark.parametrize("window", [None, 1, 3, 40])
@pytest.mark.parametrize("attend", [attend_native, attend_plain])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_lies_in_slots_that_nobody_wrote_is_never_read(attend, dtype, window):
    generator = torch.Generator().manual_seed(9)
    # A block not full, a block never begun, and row 0, with which short tables are padded, not among them.
    tables, num_cached, num_new = [[5, 2, 9, 4], [3], [7, 1, 8]], [5, 0, 1], [3, 1, 6]
    got = []
    for unwritten in (math.nan, 0.0):
        cache = PagedKVCache(1, 12, BLOCK_SIZE, 2, 8, dtype=dtype)
        cache.keys.fill_(unwritten), cache.values.fill_(unwritten)
        rows = PagedRows.of(tables, num_cached, num_new, cache)
        for table, cached, new in zip(tables, num_cached, num_new, strict=True):
            for position in range(cached + new):
                place = 0, table[position // BLOCK_SIZE], position % BLOCK_SIZE
                for tensor in (cache.keys, cache.values):
                    tensor[place] = torch.randn(2, 8, generator=generator)
        q = torch.randn(sum(num_new), 4, 8, generator=generator)
        got.append(attend(q, cache.keys[0], cache.values[0], rows, scale=0.3, window=window))
        generator.manual_seed(9)
    assert got[0].isfinite().all() and torch.equal(*got)


def test_a_cache_takes_memory_only_where_something_is_written():
    pages = pytest.importorskip("resource", reason="needs Unix").getpagesize()
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs Linux")
    before = int(statm.read_text().split()[1]) * pages
    cache = PagedKVCache(4, 4096, 16, 2, 128, dtype=torch.float32)
    took = int(statm.read_text().split()[1]) * pages - before
    assert took < cache.num_blocks * cache.bytes_per_block / 10


def test_a_block_counts_the_bytes_of_all_its_layers():
    cache = PagedKVCache(3, 5, BLOCK_SIZE, 2, 8, dtype=torch.bfloat16)
    assert cache.bytes_per_block * cache.num_blocks == 2 * cache.keys.numel() * 2


def random_call(seed, *, dtype, H=4, K=1, D=16, num_cached=(0, 37, 90, 5), num_new=(50, 1, 3, 1)):
    """Queries, one layer's keys and values, and the rows of a call whose blocks lie anywhere."""
    generator = torch.Generator().manual_seed(seed)
    blocks = [-(-(cached + new) // BLOCK_SIZE) for cached, new in zip(num_cached, num_new, strict=True)]
    cache = PagedKVCache(1, sum(blocks), BLOCK_SIZE, K, D, dtype=dtype)
    free = torch.randperm(sum(blocks), generator=generator).tolist()
    tables = [[free.pop() for _ in range(count)] for count in blocks]
    keys = torch.randn(cache.keys[0].shape, generator=generator).to(dtype)
    values = torch.randn(cache.keys[0].shape, generator=generator).to(dtype)
    q = torch.randn(sum(num_new), H, D, generator=generator)
    return q, keys, values, PagedRows.of(tables, num_cached, num_new, cache)


@pytest.mark.parametrize("window", [None, 1, 7, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("H", "K", "D"), [(4, 1, 256), (6, 2, 20), (3, 3, 64), (40, 1, 8), (1, 1, 1)])
def test_the_kernel_gives_what_plain_torch_gives(H, K, D, dtype, window):
    call = random_call(3, dtype=dtype, H=H, K=K, D=D)
    want = attend_plain(*call, scale=0.2, window=window)
    torch.testing.assert_close(attend_native(*call, scale=0.2, window=window), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize(("softcap", "width"), [(2.0, 0), (None, 1), (None, 9), (None, 301)])
def test_the_kernel_caps_and_biases_as_plain_torch_does(softcap, width, num_threads):
    call = random_call(8, dtype=torch.float32, num_cached=(0, 140), num_new=(50, 3))
    bias = torch.randn(4, width, generator=torch.Generator().manual_seed(1)) if width else None
    settings = {"scale": 0.2, "window": 70, "softcap": softcap, "bias": bias}
    with threads(num_threads):
        got = attend_native(*call, **settings)
    torch.testing.assert_close(got, attend_plain(*call, **settings), rtol=1e-5, atol=1e-5)


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("window", [None, 100])
def test_how_many_threads_share_a_sequence_changes_no_bit(window):
    call = random_call(9, dtype=torch.bfloat16, num_cached=(700,), num_new=(1,))
    results = []
    for count in (1, 2, 5):
        with threads(count):
            results.append(attend_native(*call, scale=0.2, window=window))
    assert all(torch.equal(result, results[0]) for result in results)


def test_scores_far_apart_neither_overflow_nor_vanish():
    q, keys, values, rows = random_call(4, dtype=torch.float32)
    want = attend_plain(q * 1e4, keys, values, rows, scale=1.0, window=None)
    got = attend_native(q * 1e4, keys, values, rows, scale=1.0, window=None)
    # Scores of 1e5 are rounded by 4e-3, and weights by as large a share.
    torch.testing.assert_close(got, want, rtol=1e-4, atol=4e-3)


def test_a_sequence_alone_gets_the_bits_it_gets_in_a_batch():
    q, keys, values, rows = random_call(5, dtype=torch.bfloat16)
    together = attend_native(q, keys, values, rows, scale=0.2, window=30)
    for row, (start, end) in enumerate(zip(rows.starts[:-1].tolist(), rows.starts[1:].tolist(), strict=True)):
        for query in range(start, end):
            alone = PagedRows(
                rows.block_tables[row : row + 1],
                torch.tensor([0, 1], dtype=torch.int32),
                rows.positions[query : query + 1].int(),
                rows.positions[query : query + 1],
                rows.slots[query : query + 1],
            )
            got = attend_native(q[query : query + 1], keys, values, alone, scale=0.2, window=30)
            assert torch.equal(got[0], together[query])


def test_sequences_that_share_their_first_blocks_read_the_same_keys():
    q, keys, values, _ = random_call(6, dtype=torch.float32, num_cached=(30,), num_new=(2,))
    cache = PagedKVCache(1, 8, BLOCK_SIZE, 1, 16, dtype=torch.float32)
    tables = [[0, 1, 2, 3], [0, 1, 2, 4]]
    rows = PagedRows.of(tables, [13, 12], [1, 1], cache)
    want = attend_plain(q, keys, values, rows, scale=0.2, window=None)
    torch.testing.assert_close(attend_native(q, keys, values, rows, scale=0.2, window=None), want)


def test_the_kernel_names_the_argument_that_does_not_fit():
    q, keys, values, rows = random_call(7, dtype=torch.float32)
    tables, starts, cached = rows.block_tables, rows.starts, rows.num_cached
    out = torch.empty_like(q)

    def refuses(error, pattern, **changed):
        arguments = dict(
            q=q, keys=keys, values=values, block_tables=tables, starts=starts, num_cached=cached, out=out
        )
        with pytest.raises(error, match=pattern):
            _native.paged_attention(**{**arguments, **changed}, scale=1.0, window=changed.pop("window", None))

    refuses(ValueError, "values must have the shape", values=values[1:])
    refuses(ValueError, "values must have the dtype", values=values.bfloat16())
    refuses(ValueError, "keys must be float32 or bfloat16", keys=keys.half(), values=values.half())
    refuses(ValueError, "out must have the shape", out=out[1:])
    refuses(ValueError, "q must have the head size", q=q[..., :8].contiguous(), out=out[..., :8].contiguous())
    refuses(ValueError, "starts must have one more entry than num_cached, which has 4", starts=starts[:-1])
    refuses(ValueError, "starts must go from 0", starts=starts + 1)
    refuses(ValueError, "starts decreases", starts=starts[[0, 2, 1, 3, 4]].contiguous())
    refuses(ValueError, "num_cached is negative for sequence 0", num_cached=cached - 1)
    refuses(ValueError, "too few blocks", num_cached=cached + 1000)
    refuses(IndexError, r"block_tables\[0, 0\] is -1", block_tables=tables * 0 - 1)
    refuses(IndexError, "is 99999; the cache has", block_tables=tables * 0 + 99999)
    refuses(TypeError, "incompatible", q=q.double())


@pytest.mark.parametrize(("softcap", "with_bias"), [(2.0, False), (None, True)])
@pytest.mark.parametrize("window", [None, 9])
def test_a_softcap_and_a_bias_act_on_the_scaled_scores(softcap, with_bias, window):
    H, K, D, length = 4, 2, 8, 11
    generator = torch.Generator().manual_seed(3)
    cache = PagedKVCache(1, 3, BLOCK_SIZE, K, D, dtype=torch.float32)
    q = torch.randn(length, H, D, generator=generator) * 3
    k, v = (torch.randn(length, K, D, generator=generator) for _ in range(2))
    bias = torch.randn(H, 2 * length - 1, generator=generator) if with_bias else None
    attention = PagedAttention(cache, [[2, 0, 1]], [0], [length])
    got = attention.attend(0, q, k, v, scale=0.7, window=window, softcap=softcap, bias=bias)
    for at in range(length):
        first = 0 if window is None else max(0, at - window + 1)
        for head in range(H):
            scores = k[first : at + 1, head // 2] @ q[at, head] * 0.7
            if bias is not None:
                scores = scores + bias[head, length - 1 + torch.arange(first, at + 1) - at]
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            want = scores.softmax(0) @ v[first : at + 1, head // 2]
            torch.testing.assert_close(got[at, head], want, rtol=1e-5, atol=1e-5)


def test_blocks_are_copied_in_every_layer_as_they_were_before_the_call():
    cache = PagedKVCache(2, 4, BLOCK_SIZE, 1, 2, dtype=torch.float32)
    for tensor in (cache.keys, cache.values):
        tensor.copy_(torch.randn(tensor.shape))
    keys, values = cache.keys.clone(), cache.values.clone()
    cache.copy_blocks([(0, 1), (1, 3)])
    for now, before in ((cache.keys, keys), (cache.values, values)):
        assert torch.equal(now[:, [0, 1, 2, 3]], before[:, [0, 0, 2, 1]])
    cache.copy_blocks([])
