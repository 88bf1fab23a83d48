"""Stage `pairs`: of the candidates that were kept, one for each thing said; the data set and its funnel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill.corpus.normalization import newswire_style
from potstill.errors import PotstillError
from potstill.files import read_json, write_json
from potstill.runs.stage import StageContext
from potstill.runs.stages.verdicts import read_minimums, read_rows
from potstill.runs.stages.workshop import Workshop
from potstill.seeds import random_generator
from potstill.synthesis.dataset import KEPT, REPEATS, write_pairs
from potstill.synthesis.diversity import best_of_each
from potstill.synthesis.filters import count_reasons
from potstill.synthesis.information import Equivalence
from potstill.synthesis.pair import pair_id
from potstill.synthesis.settings import SynthesisSettings
from potstill.types import TextPair

FUNNEL = "funnel.json"
_SAMPLES_A_REASON = 10


def select(context: StageContext, workshop: Workshop, settings: SynthesisSettings) -> None:
    rows = read_rows(context.inputs["verdicts"])
    critic = Equivalence(workshop.new_information())
    minimum = read_minimums(context.inputs["thresholds"])["equivalence"]
    groups = _groups([row for row in rows if row["verdict"] == KEPT])
    with context.progress.task("pairs", len(groups), "groups") as task:
        for group in groups:
            pairs = [TextPair(row["source"], row["target_text"]) for row in group]
            quality = np.array([row["faithfulness"] + row["saliency"] for row in group])
            best = set(best_of_each(pairs, quality, critic, minimum))
            for index, row in enumerate(group):
                row["verdict"] = KEPT if index in best else REPEATS
            task.advance()
    kept = [row for row in rows if row["verdict"] == KEPT]
    if not kept:
        raise _nothing_kept(rows)
    write_pairs(context.folder, [*kept, *_in_newswire_style(kept, settings.newswire_share, context.seed)])
    funnel = _funnel(rows, context.seed)
    write_json(context.folder / FUNNEL, funnel)
    context.record("funnel", {name: funnel[name] for name in ("num_candidates", "num_kept", "losses")})


def read_funnel(folder: Path) -> dict[str, Any]:
    funnel: dict[str, Any] = read_json(folder / FUNNEL)
    return funnel


def _nothing_kept(rows: Sequence[dict[str, Any]]) -> PotstillError:
    losses = ", ".join(f"{reason} {count:,}" for reason, count in _losses(rows).items())
    return PotstillError(
        f"None of {len(rows):,} candidates passed every filter ({losses}). Raise [synthesis] num_sources or "
        f"samples, or loosen the limits of the task that the first of these come from."
    )


def _losses(rows: Sequence[dict[str, Any]]) -> Mapping[str, int]:
    return count_reasons([None if row["verdict"] == KEPT else row["verdict"] for row in rows])


def _groups(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Pairs of one source (few-shot) or of one context (continuations)."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = row["context"] if row["generator"] == "continuation" else row["source"]
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _in_newswire_style(rows: Sequence[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    """A share of the pairs once more as old newswire writes them, under ids of their own."""
    drawn = random_generator(seed, "newswire").random(len(rows)) < share
    return [
        {
            **row,
            "id": pair_id(row["id"], "newswire"),
            "source": newswire_style(row["source"]),
            "target_text": newswire_style(row["target_text"]),
        }
        for row, is_drawn in zip(rows, drawn, strict=True)
        if is_drawn
    ]


def _funnel(rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """How many candidates fell for which reason, with some of each."""
    losses = _losses(rows)
    samples = {}
    for reason in losses:
        fallen = [row for row in rows if row["verdict"] == reason]
        order = random_generator(seed, "rejected", reason).permutation(len(fallen))[:_SAMPLES_A_REASON]
        samples[reason] = [
            {"source": fallen[i]["source"], "target_text": fallen[i]["target_text"]} for i in order
        ]
    return {
        "num_candidates": len(rows),
        "num_kept": sum(row["verdict"] == KEPT for row in rows),
        "losses": losses,
        "samples": samples,
    }
