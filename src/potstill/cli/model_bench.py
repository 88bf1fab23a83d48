"""`potstill model show --bench`: this machine's peaks, and what a model reaches of them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.progress import Progress, format_duration

if TYPE_CHECKING:
    from potstill.engine.bench import ModelBench, Rate
    from potstill.peaks import MachinePeaks
    from potstill.types import DtypeName

# Beyond this the user is told how long it may take.
_SHORT_S = 60


def measure(path: Path, *, dtype: str | None, threads: int | None, progress: Progress) -> dict[str, Any]:
    """The figures as plain values; UsageError for a model that writes nothing."""
    from potstill.cli.configuration import load_configuration
    from potstill.cli.output import say
    from potstill.devices import use_threads
    from potstill.engine import bench
    from potstill.engine.params import EngineParams
    from potstill.lm.load import load_lm
    from potstill.peaks import measure_peaks

    kind = chosen_kind(dtype)
    num_bytes = path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*"))
    seconds = bench.estimate_s(num_bytes)
    if seconds > _SHORT_S:
        say(f"Loading and measuring may take {format_duration(seconds)}.")
    num_threads = use_threads(threads or load_configuration().settings.device.threads)
    peaks = measure_peaks(num_threads, progress=progress)
    model, _ = load_lm(path, dtype=kind, params=EngineParams())
    found = bench.Bench(model, kind, peaks, bench.BUDGET_S).run(progress)
    return as_table(kind, peaks, found)


def chosen_kind(dtype: str | None) -> "DtypeName":
    """The type of the weights that `dtype` means here."""
    from potstill.cli.writing import dtype_name
    from potstill.devices import bf16_is_faster

    name = dtype_name(dtype)
    if name != "auto":
        return name
    return "bf16" if bf16_is_faster() else "fp32"


def as_table(kind: str, peaks: "MachinePeaks", found: "ModelBench") -> dict[str, Any]:
    return {
        "dtype": kind,
        "threads": peaks.num_threads,
        "peaks": {"read_bytes_per_s": peaks.read_bytes_per_s, "flops_per_s": dict(peaks.flops_per_s)},
        "step": found.cost._asdict(),
        "decode": [_rate(rate) for rate in found.decode],
        "prefill": _rate(found.prefill),
    }


def show(told: dict[str, Any]) -> None:
    """The figures as a table on stdout."""
    from potstill.cli.output import print_table

    print()
    print_table(("figure", "value", "share of peak"), list(_rows(told)), right=("value", "share of peak"))
    if sys.stdout.isatty():
        print("Shares: of reading where texts are written, of products where prompts are read.")


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    from potstill.cli.output import format_bytes

    threads = "1 thread" if told["threads"] == 1 else f"{told['threads']} threads"
    yield f"reads, {threads}", f"{told['peaks']['read_bytes_per_s'] / 1e9:.1f} GB/s", ""
    for kind, rate in told["peaks"]["flops_per_s"].items():
        yield f"products, {kind}", f"{rate / 1e9:,.0f} GFLOP/s", ""
    yield f"weights read a step, {told['dtype']}", format_bytes(told["step"]["weight_bytes"]), ""
    yield "cache of a position", format_bytes(told["step"]["kv_bytes"]), ""
    for rate in told["decode"]:
        texts = "1 text" if rate["num_streams"] == 1 else f"{rate['num_streams']} texts"
        yield f"writing {texts}", f"{rate['tokens_per_s']:,.1f} tokens/s", f"{rate['bandwidth_share']:.0%}"
    prefill = told["prefill"]
    yield "reading a prompt", f"{prefill['tokens_per_s']:,.1f} tokens/s", f"{prefill['flops_share']:.0%}"


def _rate(rate: "Rate") -> dict[str, Any]:
    return {"num_streams": rate.num_streams, "tokens_per_s": rate.tokens_per_s, **rate.speed._asdict()}
