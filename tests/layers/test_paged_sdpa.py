"""Attention over blocks by torch's fused kernels gives what plain torch gives, on each device there is."""

import math

import pytest
import torch

from potstill.layers.kv_cache import PagedKVCache, PagedRows, attend_plain, attention_over
from potstill.layers.paged_sdpa import PagedSdpa

BLOCK_SIZE = 4
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_gpu])]
# Decoding beside prompts: some whole, some in the middle, some of like length and some far from it.
RAGGED = [
    ((0, 37, 90, 5, 0), (50, 1, 3, 1, 47)),
    ((9, 1, 60), (1, 1, 1)),
    ((0, 0, 0), (7, 7, 5)),
    ((0,), (1,)),
    ((12, 0, 3, 40), (20, 19, 1, 21)),
]


def random_call(seed, shape, device, *, dtype=torch.float32, H=4, K=2, D=16):
    """Queries, one layer's keys and values, and rows of sequences whose blocks lie anywhere; what nobody
    wrote is no number."""
    num_cached, num_new = shape
    generator = torch.Generator().manual_seed(seed)
    lengths = [cached + new for cached, new in zip(num_cached, num_new, strict=True)]
    num_blocks = [-(-length // BLOCK_SIZE) for length in lengths]
    cache = PagedKVCache(1, sum(num_blocks) + 1, BLOCK_SIZE, K, D, dtype=dtype, device=device)
    cache.keys.fill_(math.nan), cache.values.fill_(math.nan)
    # Block 0, with which short tables are padded, is nobody's.
    free = (torch.randperm(sum(num_blocks), generator=generator) + 1).tolist()
    tables = [[free.pop() for _ in range(count)] for count in num_blocks]
    whole = PagedRows.of(tables, [0] * len(lengths), lengths, cache)
    for tensor in (cache.keys, cache.values):
        written = torch.randn(sum(lengths), K, D, generator=generator).to(device, dtype)
        tensor[0].flatten(0, 1)[whole.slots] = written
    q = torch.randn(sum(num_new), H, D, generator=generator).to(device)
    return q, cache.keys[0], cache.values[0], PagedRows.of(tables, num_cached, num_new, cache)


def attend_sdpa(q, keys, values, rows, **settings):
    return PagedSdpa(rows, keys.shape[1]).attend(q, keys, values, **settings)


def random_bias(H, width, device):
    return torch.randn(H, width, generator=torch.Generator().manual_seed(1)).to(device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", RAGGED)
@pytest.mark.parametrize(("H", "K", "D"), [(4, 1, 32), (6, 2, 20), (3, 3, 8)])
def test_ragged_batches_get_what_plain_torch_gives(shape, H, K, D, device):
    call = random_call(3, shape, device, H=H, K=K, D=D)
    for window in (None, 1, 7, 400):
        settings = {"scale": 0.2, "window": window}
        torch.testing.assert_close(
            attend_sdpa(*call, **settings), attend_plain(*call, **settings), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", RAGGED)
@pytest.mark.parametrize(("softcap", "width"), [(2.0, 0), (None, 1), (None, 9), (None, 301)])
def test_capped_and_biased_scores_are_what_plain_torch_gives(shape, softcap, width, device):
    call = random_call(4, shape, device)
    bias = random_bias(4, width, device) if width else None
    for window in (None, 7):
        settings = {"scale": 0.2, "window": window, "softcap": softcap, "bias": bias}
        torch.testing.assert_close(
            attend_sdpa(*call, **settings), attend_plain(*call, **settings), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("device", DEVICES)
def test_layers_of_one_step_share_what_is_worked_out_once(device):
    q, keys, values, rows = random_call(5, RAGGED[0], device)
    step = PagedSdpa(rows, BLOCK_SIZE)
    for layer, window in enumerate((7, None, 7)):
        settings = {"scale": 0.1 * (layer + 1), "window": window}
        torch.testing.assert_close(
            step.attend(q, keys, values, **settings),
            attend_plain(q, keys, values, rows, **settings),
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_narrow_types_keep_the_type_of_the_queries(device, softcap):
    q, keys, values, rows = random_call(6, RAGGED[0], device, dtype=torch.bfloat16)
    settings = {"scale": 0.2, "window": None, "softcap": softcap}
    want = attend_plain(q, keys, values, rows, **settings)
    torch.testing.assert_close(attend_sdpa(q, keys, values, rows, **settings), want, rtol=1e-5, atol=1e-5)
    narrow = attend_sdpa(q.bfloat16(), keys, values, rows, **settings)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), want, rtol=3e-2, atol=3e-2)


@pytest.mark.gpu
@needs_gpu
def test_a_cache_that_lies_on_a_gpu_is_read_there():
    call = random_call(7, RAGGED[0], "cuda")
    q, keys, values, rows = call
    cache = PagedKVCache(1, keys.shape[0], BLOCK_SIZE, 2, 16, dtype=torch.float32, device="cuda")
    got = attention_over(rows, cache)(q, keys, values, scale=0.2, window=None)
    torch.testing.assert_close(got, attend_plain(*call, scale=0.2, window=None), rtol=1e-5, atol=1e-5)
