"""What rounds of measurements come to: medians with their spread, ratios, shares of the bandwidth bound."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from decode_rounds import Measured, Rounds

# Of texts that begin like another system's: so many tokens are looked at.
FIRST_TOKENS = 8


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def figures(measured: Measured, bandwidth_gb_per_s: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tokens_per_second": measured.tokens_per_second,
        **spread(measured.tokens_per_second),
        "peak_rss_bytes": max(answer["peak_rss_bytes"] for answer in measured.answers),
    }
    last = measured.answers[-1]
    if "times" in last:
        for name in ("decode_tokens_per_s", "prefill_tokens_per_s"):
            found[name] = statistics.median(answer["times"][name] for answer in measured.answers)
    if bandwidth_gb_per_s and "weight_bytes" in last and "times" in last:
        shares = [_bandwidth_share(answer, bandwidth_gb_per_s) for answer in measured.answers]
        found["bandwidth_share"] = statistics.median(shares)
    for name in ("runner", "weight_bytes"):
        if name in last:
            found[name] = last[name]
    if "engine" in last:
        found["engine"] = last["engine"]
    if "latencies" in last:
        found["latency_s"] = {
            name: statistics.median(_quantile(answer["latencies"], share) for answer in measured.answers)
            for name, share in (("p50", 0.5), ("p95", 0.95))
        }
    return found


def ratio(ours: Measured, theirs: Measured) -> dict[str, float]:
    """Of speeds of the same rounds, so that what a round had in common goes out."""
    return spread([a / b for a, b in zip(ours.tokens_per_second, theirs.tokens_per_second, strict=False)])


def ratios(rounds: Rounds, pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, dict[str, float]]]:
    """`ours / theirs` for the cells that have both."""
    return {
        cell: {
            f"{ours} / {theirs}": ratio(systems[ours], systems[theirs])
            for ours, theirs in pairs
            if ours in systems and theirs in systems
        }
        for cell, systems in rounds.found.items()
    }


def agreement(
    systems: Mapping[str, Measured], reference: str, num_first: int = FIRST_TOKENS
) -> dict[str, dict[str, float]]:
    """How far each system's texts are the reference's; greedy texts part where two tokens are near."""
    if reference not in systems:
        return {}
    wanted = systems[reference].answers[0]["outputs"]
    found = {}
    for name, measured in systems.items():
        shared = [_num_shared(a, b) for a, b in zip(measured.answers[0]["outputs"], wanted, strict=True)]
        begins = [n >= min(num_first, len(text)) for n, text in zip(shared, wanted, strict=True)]
        found[name] = {
            f"same_first_{num_first}": sum(begins) / len(begins),
            "same_tokens": sum(shared) / sum(map(len, wanted)),
        }
    return found


def _bandwidth_share(answer: Mapping[str, Any], bandwidth_gb_per_s: float) -> float:
    """The weights, read once in each step that only writes, over its time: keys and values come on top."""
    times = answer["times"]
    if not times["decode_s"]:
        return 0.0
    read = times["decode_steps"] * answer["weight_bytes"] / times["decode_s"]
    return float(read / (bandwidth_gb_per_s * 1e9))


def _num_shared(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=True)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), len(other))


def _quantile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)]
