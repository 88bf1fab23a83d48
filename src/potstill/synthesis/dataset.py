"""The data set a run makes: a row a pair, in Parquet and JSONL (docs/formats/pairs.md fixes the columns)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.records.read import read_records
from potstill.records.write import write_jsonl, write_parquet
from potstill.synthesis.pair import Candidate

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = "kept"
# Verdicts no filter gives: a target cut off by the token limit, and a pair that another makes needless.
UNFINISHED, REPEATS = "did not end", "says what a better pair says"
# Critics in the order of their columns; a pair that fell before a critic was asked has null there.
SCORES = (
    "well_formed",
    "num_words",
    "length_ratio",
    "copied_run",
    "copy_rate",
    "new_numbers",
    "new_names",
    "brevity",
    "faithfulness",
    "saliency",
    "equivalence",
)
COLUMNS = (
    "id", "context", "source", "target_text", "generator", "seed", *SCORES, "verdict",
    "span_path", "span_record", "span_start", "span_end",
)  # fmt: skip


def row(candidate: Candidate, scores: Mapping[str, float], verdict: str) -> dict[str, Any]:
    """`verdict` is `kept` or the reason of rejection."""
    span = candidate.span
    return {
        "id": candidate.id,
        "context": candidate.context,
        "source": candidate.source,
        "target_text": candidate.target_text,
        "generator": candidate.generator,
        "seed": candidate.seed,
        **{name: _number(scores.get(name)) for name in SCORES},
        "verdict": verdict,
        "span_path": span and span.path,
        "span_record": span and span.record,
        "span_start": span and span.start,
        "span_end": span and span.end,
    }


def write_pairs(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """`pairs.parquet` and `pairs.jsonl`, the same rows in the same order."""
    write_jsonl(folder / "pairs.jsonl", rows)
    write_parquet(folder / "pairs.parquet", rows, schema())


def read_pairs(folder: Path) -> list[dict[str, Any]]:
    return list(read_records(folder / "pairs.parquet"))


def schema() -> "pa.Schema":
    import pyarrow as pa

    texts = ("id", "context", "source", "target_text", "generator", "verdict", "span_path")
    whole = ("seed", "span_record", "span_start", "span_end")
    types = (
        dict.fromkeys(texts, pa.string())
        | dict.fromkeys(whole, pa.int64())
        | dict.fromkeys(SCORES, pa.float64())
    )
    return pa.schema([pa.field(name, types[name]) for name in COLUMNS])


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
