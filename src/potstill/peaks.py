"""The most this machine reads and multiplies in a second, measured: what a model's speed is a share of.

Nothing here runs unless it is asked for. Torch is imported inside the functions.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from potstill.devices import memory_bytes, num_threads, use_threads
from potstill.progress import Progress, Silent

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_SMALLEST_READ_BYTES, _LARGEST_READ_BYTES = 256 << 20, 2 << 30
# Rows, inputs and outputs of the products: the weights fit a last-level cache, so that arithmetic decides.
_ROWS, _INPUTS, _OUTPUTS = 128, 2048, 1024
_LEAST_ROUNDS = 3


class MachinePeaks(NamedTuple):
    """Medians of several rounds with `num_threads` threads of the CPU.

    flops_per_s has fp32, bf16 and int8: the type of the weights; a product and its addition are two FLOP.
    """

    num_threads: int
    read_bytes_per_s: float
    flops_per_s: Mapping[str, float]


def measure_peaks(
    threads: int | None = None, *, budget_s: float = 2.5, progress: Progress | None = None
) -> MachinePeaks:
    """Takes about `budget_s` seconds, all cores that `threads` says, and a few hundred MiB for that time.

    Of two ways to do the same the faster one counts. Other work on the machine lowers every figure.
    """
    import torch  # first, so that torch and the kernels share one pool of threads

    kinds = ("fp32", "bf16", "int8")
    share_s = budget_s / 5
    with (
        _threads(threads) as chosen,
        (progress or Silent()).task("peaks", 1 + len(kinds), "rates") as task,
        torch.inference_mode(),
    ):
        read = _read_rate(2 * share_s)
        task.advance()
        flops = {}
        for kind in kinds:
            flops[kind] = _flop_rate(kind, share_s)
            task.advance()
    return MachinePeaks(chosen, read, flops)


def cache_bytes() -> int:
    """The last-level cache, 0 where the system does not say."""
    sizes = []
    for path in _CACHES.glob("index*/size"):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
        digits = text.rstrip("KMG")
        sizes.append(int(digits) * unit if digits.isdecimal() else 0)
    return max(sizes, default=0)


def read_rate(num_bytes: int, seconds: float) -> float:
    """Bytes a second over a buffer of about `num_bytes`: of a sum, or of a product with a vector.

    Takes about `seconds`. The threads are those that torch has now; a cache may hold a small buffer.
    """
    import torch

    buffer = torch.ones(max(num_bytes // 4 // _INPUTS, 1), _INPUTS)
    vector, num_bytes = torch.ones(_INPUTS), 4 * buffer.numel()
    return max(
        _rate(lambda: buffer.sum(), num_bytes, seconds / 2),
        _rate(lambda: buffer.mv(vector), num_bytes, seconds / 2),
    )


def _read_rate(seconds: float) -> float:
    """Over a buffer that no cache holds."""
    wanted = min(max(8 * cache_bytes(), _SMALLEST_READ_BYTES), _LARGEST_READ_BYTES, memory_bytes()[1] // 4)
    return read_rate(wanted, seconds)


def _flop_rate(kind: str, seconds: float) -> float:
    import torch

    from potstill import _native

    num_flops = 2 * _ROWS * _INPUTS * _OUTPUTS
    x, weight = torch.ones(_ROWS, _INPUTS), torch.ones(_OUTPUTS, _INPUTS)
    matrix = _native.PackedMatrix(weight, kind)
    native = _rate(lambda: _native.linear(x, matrix, None, "none"), num_flops, seconds / 2)
    if kind == "int8":
        return native
    dtype = torch.float32 if kind == "fp32" else torch.bfloat16
    left, right = x.to(dtype), weight.to(dtype).T
    return max(native, _rate(lambda: left @ right, num_flops, seconds / 2))


def _rate(work: Callable[[], object], amount: float, seconds: float) -> float:
    """`amount` over the median time of one `work`, after a first one that warms up."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_ROUNDS or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return amount / median(times)


@contextmanager
def _threads(count: int | None) -> Iterator[int]:
    import torch

    before = torch.get_num_threads()
    try:
        yield use_threads(num_threads() if count is None else count)
    finally:
        torch.set_num_threads(before)
