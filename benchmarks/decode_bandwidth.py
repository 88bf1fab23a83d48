"""How fast this machine reads memory with the threads it is given: the ceiling of a step's weights.

Reads are a matrix-vector product and a sum over one buffer, whichever is faster: of the size of the weights
in question, which a large cache may hold in part, and of 1 GiB, which none does.
"""

import statistics
import time
from collections.abc import Callable

import torch

LARGE_BYTES = 1 << 30
_COLUMNS = 4096
_PASSES = 7


def read_bandwidth(num_bytes: int) -> float:
    """Bytes a second, the median of several passes over a buffer of about `num_bytes`."""
    rows = max(num_bytes // 4 // _COLUMNS, 1)
    matrix = torch.ones(rows, _COLUMNS)
    vector = torch.ones(_COLUMNS)
    out = torch.empty(rows)
    size = matrix.numel() * matrix.element_size()
    reads: tuple[Callable[[], object], ...] = (lambda: torch.mv(matrix, vector, out=out), matrix.sum)
    return max(size / _median_seconds(read) for read in reads)


def bandwidths(weight_bytes: int) -> dict[str, float]:
    return {
        "of_the_weights_size_gb_per_s": read_bandwidth(weight_bytes) / 1e9,
        "of_1_gib_gb_per_s": read_bandwidth(LARGE_BYTES) / 1e9,
    }


def _median_seconds(read: Callable[[], object]) -> float:
    read()
    seconds = []
    for _ in range(_PASSES):
        started = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
