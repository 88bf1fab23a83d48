"""How long one layer's attention and one step's draws take: the kernels beside plain torch.

On the shapes of Gemma 3 270M (4 query heads over 1 key head of 256, a vocabulary of 262,144): 32 sequences
of 350 cached positions that decode one token each, alone and sharing a prefix of 250; a prefill of four
prompts of 350; and 32 rows of logits. The ceiling of decoding is memory: its bytes/s are printed. Each
figure is the median of its repetitions, with the fastest beside it.
"""

import json
import statistics
import time
from collections.abc import Callable

import torch
from provenance import provenance

from potstill import _native
from potstill.devices import use_threads
from potstill.engine.sampling import Filters, draw_plain
from potstill.layers.kv_cache import PagedKVCache, PagedRows, attend_native, attend_plain
from potstill.types import SamplingParams

BLOCK_SIZE, H, K, D, V = 16, 4, 1, 256, 262_144


def measure(work: Callable[[], object], repeats: int) -> dict[str, float]:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": round(statistics.median(times), 3), "fastest_ms": round(min(times), 3)}


def attention_call(B: int, num_cached: int, num_new: int, num_shared: int, dtype: torch.dtype):
    blocks_per_row = -(-(num_cached + num_new) // BLOCK_SIZE)
    cache = PagedKVCache(1, B * blocks_per_row, BLOCK_SIZE, K, D, dtype=dtype)
    cache.keys.normal_()
    cache.values.normal_()
    tables = torch.randperm(B * blocks_per_row).view(B, blocks_per_row)
    tables[:, : num_shared // BLOCK_SIZE] = tables[0, : num_shared // BLOCK_SIZE]
    rows = PagedRows.of(tables.tolist(), [num_cached] * B, [num_new] * B, cache)
    return torch.randn(B * num_new, H, D), cache.keys[0], cache.values[0], rows


def attention_figures() -> dict[str, object]:
    figures: dict[str, object] = {}
    shapes = {"decode": (32, 349, 1, 0), "decode_shared": (32, 349, 1, 250), "prefill": (4, 0, 350, 0)}
    for name, shape in shapes.items():
        call = attention_call(*shape, dtype=torch.bfloat16)
        native = measure(lambda call=call: attend_native(*call, scale=0.0625, window=None), 50)
        plain = measure(lambda call=call: attend_plain(*call, scale=0.0625, window=None), 10)
        figures[name] = {"native": native, "plain": plain}
        if name == "decode":
            read_bytes = 32 * 350 * K * D * 2 * 2
            figures["decode_gigabytes_per_s"] = round(read_bytes / native["median_ms"] / 1e6, 1)
    return figures


def sampling_figures() -> dict[str, object]:
    figures: dict[str, object] = {}
    uniforms = torch.rand(32, dtype=torch.float64)
    for spread in (1.0, 4.0):
        for dtype in (torch.bfloat16, torch.float32):
            logits = (torch.randn(32, V) * spread).to(dtype)
            filters = Filters.of([SamplingParams(top_p=0.9)] * 32, torch.device("cpu"))
            name = f"top_p_0.9_spread_{spread:g}_{str(dtype).removeprefix('torch.')}"
            figures[name] = {
                "native": measure(lambda x=logits, f=filters: _native.sample(x, *f, uniforms), 20),
                "plain": measure(lambda x=logits, f=filters: draw_plain(x, f, uniforms), 1),
            }
    return figures


def main() -> None:
    use_threads()
    torch.manual_seed(0)
    figures = {"attention": attention_figures(), "sampling": sampling_figures()}
    for subject, rows in figures.items():
        for name, figure in rows.items():
            print(f"{subject:<10} {name:<38} {figure}")
    print(json.dumps({"subject": "kernels", **figures, **provenance()}))


if __name__ == "__main__":
    main()
