"""The figures of bench_decode_steps.py as SVG charts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.charts.bars import Bar, bars
from potstill.charts.canvas import standalone
from potstill.charts.curve import Series, curve
from potstill.files import write_text


def write_charts(found: Mapping[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    charts = {"techniques": _techniques(found["techniques"]), **_curves(found["curves"])}
    if "failed" not in found["step"]:
        charts["step"] = _step(found["step"], found["published"]["step_ms"])
    for name, chart in charts.items():
        write_text(folder / f"decode_{name}.svg", standalone(chart))


def _techniques(found: Mapping[str, Any]) -> str:
    rows = [
        Bar(
            name,
            figures["median"],
            min(figures["tokens_per_second"]),
            max(figures["tokens_per_second"]),
            stands_out=name.startswith("+"),
        )
        for name, figures in found.items()
        if isinstance(figures, Mapping)
    ]
    return bars(rows, "Tokens a second: each technique alone, then one after the other")


def _step(found: Mapping[str, Any], published_ms: Mapping[int, float]) -> str:
    def series(name: str, kind: str, figure: str) -> Series:
        return Series(name, tuple((float(at), one[figure]) for at, one in found[kind].items()))

    plain = found["torch fp32"]
    return curve(
        [
            series("torch, no cache", "torch fp32", "whole_ms"),
            Series("one times their number", tuple((at, at * plain[1]["whole_ms"]) for at in plain)),
            series("int8, no cache", "native int8", "whole_ms"),
            series("int8, cached", "native int8", "cached_ms"),
            Series("published, no cache", tuple(published_ms.items())),
        ],
        "One step for sequences of 20 tokens",
        x_label="sequences",
        y_label="ms a step",
    )


def _curves(found: Mapping[str, Any]) -> dict[str, str]:
    if "failed" in found:
        return {}
    return {
        "context": curve(
            _series(found["context"], "token_ms"),
            "Milliseconds a token against the context's length",
            x_label="tokens before it",
            y_label="ms a token",
        ),
        "batch": curve(
            _series(found["batch"], "tokens_per_s"),
            "Tokens a second against the number of texts",
            x_label="texts at once",
            y_label="tokens a second",
        ),
        "prefill": curve(
            _series(found["context"], "prefill_tokens_per_s"),
            "Prompt tokens a second against the prompt's length",
            x_label="tokens of the prompt",
            y_label="tokens a second",
        ),
        "memory": curve(
            _series(found["context"], "kv_bytes_a_text", 1e-6),
            "Keys and values of one text",
            x_label="tokens",
            y_label="MB",
        ),
        "size": _size(found["size"]),
    }


def _size(kinds: Mapping[str, Any]) -> str:
    return curve(
        [
            Series(kind, tuple((one["weight_bytes"] / 1e6, one["token_ms"]) for one in points.values()))
            for kind, points in kinds.items()
        ],
        "Milliseconds a token against the size of the weights",
        x_label="MB of weights",
        y_label="ms a token",
    )


def _series(kinds: Mapping[str, Any], figure: str, factor: float = 1.0) -> list[Series]:
    return [
        Series(kind, tuple((float(at), one[figure] * factor) for at, one in points.items()))
        for kind, points in kinds.items()
    ]
