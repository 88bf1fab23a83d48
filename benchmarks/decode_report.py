"""The figures of bench_decode.py as tables for people."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    for part in ("decoder", "t5"):
        if "failed" in found.get(part, {}):
            yield f"{part} FAILED {found[part]['failed']}"
        elif part in found:
            yield from part_lines(part, found[part])


def part_lines(part: str, found: Mapping[str, Any]) -> Iterator[str]:
    if "bandwidth" in found:
        own, large = (found["bandwidth"][f"of_{size}_gb_per_s"] for size in ("the_weights_size", "1_gib"))
        yield f"memory is read at {own:.1f} GB/s over as much as the weights, {large:.1f} GB/s over 1 GiB"
    for cell, systems in found["cells"].items():
        yield f"\n{cell:36} {'tokens/s':>9} {'spread':>17} {'decode':>8} {'prefill':>8} {'of bound':>8}"
        for name, figures in systems.items():
            yield _system_line(name, figures)
        for name, ratio in found["ratios"].get(cell, {}).items():
            yield _ratio_line(name, ratio, found["aims"].get(cell, {}).get(name))
    yield from _quality_lines(found.get("quality", {}))
    for name, agreed in found["agreement"].items():
        if "same_tokens" in agreed:
            yield f"{name:36} parts from the reference after {agreed['same_tokens']:.0%} of its tokens"
    for name, start in found["start"].items():
        yield f"{name:36} starts in {start['seconds']:5.1f} s, {start['rss_bytes'] / 1e6:7.0f} MB resident"
    for failure in found["failures"]:
        yield f"{part} FAILED {failure}"
    if found["measurements_left_out_for_time"]:
        yield f"{part}: {found['measurements_left_out_for_time']} measurements left out, the time was up"


def _system_line(name: str, figures: Mapping[str, Any]) -> str:
    between = f"{figures['lowest']:.1f} to {figures['highest']:.1f}"
    line = f"  {name:34} {figures['median']:9.1f} {between:>17}"
    for key in ("decode_tokens_per_s", "prefill_tokens_per_s"):
        line += f" {figures[key]:8.0f}" if key in figures else " " * 9
    if "bandwidth_share" in figures:
        line += f" {figures['bandwidth_share']:8.0%}"
    if "latency_s" in figures:
        line += f"   latency p50 {figures['latency_s']['p50']:.2f} s, p95 {figures['latency_s']['p95']:.2f} s"
    if "engine" in figures:
        engine = figures["engine"]
        model, drawing = (engine[name] / max(engine["total_s"], 1e-9) for name in ("model_s", "sampling_s"))
        line += f"   fill {engine['batch_fill']:.0%}, in the model {model:.0%}, drawing {drawing:.0%}"
    return line


def _ratio_line(name: str, ratio: Mapping[str, float], aim: float | None) -> str:
    line = f"  {name:44} {ratio['median']:5.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})"
    if aim is None:
        return line
    return f"{line}   aim {aim:g}: {'met' if ratio['median'] >= aim else 'MISSED'}"


def _quality_lines(quality: Mapping[str, Any]) -> Iterator[str]:
    for name, found in quality.items():
        if isinstance(found, Mapping):
            yield (
                f"{name:36} likeliest token of {quality['reference']} at {found['top1_agreement']:6.1%} of "
                f"{found['positions']} positions, mean KL {found['mean_kl']:.5f}"
            )
