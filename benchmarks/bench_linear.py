"""How long products with packed weights take: int8, bfloat16 and float32 beside torch's.

The shapes of Gemma 3 270M (the head of 262,144 x 640 and the four of its layers) and of T5 base, for 1 to
512 rows. With few rows the ceiling is memory: bytes/s stand beside what torch reads over
671 MB in the same minute. With many it is arithmetic: operations/s. Rates are of the fastest
repetition, which stands beside the median.

    python benchmarks/bench_linear.py [SHAPE ...] [--out FILE]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from provenance import provenance
from torch import Tensor

from potstill import _native
from potstill.devices import use_threads
from potstill.peaks import read_rate

SHAPES = {
    "head": (262_144, 640),
    "gate": (2048, 640),
    "down": (640, 2048),
    "out": (640, 1024),
    "qkv": (1280, 640),
    "t5_attention": (768, 768),
    "t5_up": (2048, 768),
    "t5_down": (768, 2048),
}
ROWS_OF_THE_HEAD, ROWS_OF_A_LAYER = (1, 4, 8, 16, 32, 64), (1, 8, 32, 512)
SECONDS_EACH = 0.3
READ_BYTES = 4 * 262_144 * 640


def measure(work: Callable[[], object]) -> dict[str, float]:
    started = time.perf_counter()
    work()
    repeats = max(5, int(SECONDS_EACH / (time.perf_counter() - started)))
    times = []
    for _ in range(min(repeats, 2000)):
        started = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started))
    return {"median_ms": round(statistics.median(times), 4), "fastest_ms": round(min(times), 4)}


def with_rates(figure: dict[str, float], num_bytes: int, num_operations: int) -> dict[str, float]:
    seconds = figure["fastest_ms"] / 1e3
    return {
        **figure,
        "gb_per_s": round(num_bytes / seconds / 1e9, 1),
        "tera_operations_per_s": round(num_operations / seconds / 1e12, 3),
    }


def figures_of(name: str) -> dict[str, Any]:
    weight = torch.randn(SHAPES[name]) * 0.05
    halves = weight.bfloat16()
    matrices = {kind: _native.PackedMatrix(weight, kind) for kind in ("int8", "bf16", "fp32")}
    figures: dict[str, Any] = {}
    for M in ROWS_OF_THE_HEAD if name == "head" else ROWS_OF_A_LAYER:
        row = figures[f"{M}_rows"] = product_figures(
            torch.randn(M, weight.shape[1]), weight, halves, matrices
        )
        for kind, figure in row.items():
            print(f"{name:<12} {M:>3} rows  {kind:<10} {figure}", flush=True)
    return figures


def product_figures(
    x: Tensor, weight: Tensor, halves: Tensor, matrices: dict[str, _native.PackedMatrix]
) -> dict[str, dict[str, float]]:
    size, x_halves = weight.numel(), x.bfloat16()
    num_operations = 2 * len(x) * size
    row = {
        kind: with_rates(measure(lambda m=matrix: _native.linear(x, m)), matrix.bytes, num_operations)
        for kind, matrix in matrices.items()
    }
    row["torch_bf16"] = with_rates(measure(lambda: x_halves @ halves.T), 2 * size, num_operations)
    row["torch_fp32"] = with_rates(measure(lambda: x @ weight.T), 4 * size, num_operations)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all without")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if unknown := set(asked.shapes) - SHAPES.keys():
        parser.error(f"there is no shape {', '.join(sorted(unknown))}")
    use_threads()
    torch.manual_seed(0)
    figures = {
        "read_gb_per_s": read_rate(READ_BYTES, SECONDS_EACH) / 1e9,
        **{name: figures_of(name) for name in asked.shapes or SHAPES},
    }
    found = {"subject": "linear", **figures, **provenance()}
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
