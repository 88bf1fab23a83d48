"""The whole chain on a tiny model: what it leaves, what it counts, and what a changed setting makes again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from potstill.files import read_json
from potstill.records.read import read_records
from potstill.runs.complete import check_complete
from potstill.runs.execute import LEDGER_NAME
from potstill.runs.ledger import Ledger
from potstill.runs.recipe import read_recipe
from potstill.runs.stages.distill import build_stages
from potstill.synthesis.dataset import COLUMNS, KEPT, SCORES, read_pairs
from runs.stages.tiny_run import FinishedRun, run_recipe
from runs.stages.tiny_world import LESSONS, World

SOURCES = [source for source, _, _ in LESSONS]
PUBLISHED = ("student", "pairs.parquet", "pairs.jsonl", "report.html")


def verdict_rows(run: FinishedRun) -> list[dict[str, Any]]:
    return [
        row for path in sorted(run.outputs["verdicts"].glob("chunk-*.jsonl")) for row in read_records(path)
    ]


def test_a_run_ends_with_a_student_pairs_and_a_report(finished: FinishedRun) -> None:
    for name in PUBLISHED:
        assert (finished.folder / name).exists(), name
    for name, folder in finished.outputs.items():
        check_complete(folder, name)
    assert (finished.folder / "student" / "potstill.json").is_file()
    assert not (finished.outputs["student"] / "training").exists()


def test_the_student_writes_what_was_kept_more_often_than_the_plain_prompt_did(finished: FinishedRun) -> None:
    kept = {(row["source"], row["target_text"]) for row in read_pairs(finished.folder)}
    outputs = list(read_records(finished.outputs["evaluation"] / "outputs.jsonl"))
    taught = {
        system: sum((row["input"], row["outputs"][system]) in kept for row in outputs)
        for system in ("plain prompt", "student")
    }
    print(f"of {len(outputs)} outputs equal a kept target: {taught}")
    assert taught["student"] > taught["plain prompt"]


def test_every_candidate_is_counted_once(finished: FinishedRun) -> None:
    funnel = read_json(finished.outputs["pairs"] / "funnel.json")
    rows = verdict_rows(finished)
    samples = finished.recipe.synthesis.samples
    assert funnel["num_candidates"] == len(rows) == len({row["id"] for row in rows}) == len(SOURCES) * samples
    assert funnel["num_kept"] + sum(funnel["losses"].values()) == funnel["num_candidates"]
    before = Counter(row["verdict"] for row in rows if row["verdict"] != KEPT)
    repeats = funnel["losses"].pop("says what a better pair says", 0)
    assert funnel["losses"] == before
    assert repeats == sum(row["verdict"] == KEPT for row in rows) - funnel["num_kept"]
    assert len(before) >= 5, "the lessons hold a fault for each of several filters"


def test_samples_of_rejected_candidates_are_rejected_candidates(finished: FinishedRun) -> None:
    funnel = read_json(finished.outputs["pairs"] / "funnel.json")
    known = {(row["source"], row["target_text"]): row["verdict"] for row in verdict_rows(finished)}
    for reason, samples in funnel["samples"].items():
        assert len(samples) == min(10, funnel["losses"][reason])
        for sample in samples:
            verdict = known[sample["source"], sample["target_text"]]
            assert verdict == (KEPT if reason == "says what a better pair says" else reason)


def test_pairs_stand_in_parquet_and_jsonl_alike_with_the_columns_of_the_page(finished: FinishedRun) -> None:
    rows = read_pairs(finished.folder)
    assert rows == list(read_records(finished.folder / "pairs.jsonl"))
    assert len(rows) >= 8
    for row in rows:
        assert tuple(row) == COLUMNS
        assert row["source"] in SOURCES and row["generator"] == "few_shot" and row["verdict"] == KEPT
        assert all(row[name] is not None for name in SCORES if name != "equivalence")


def test_a_pair_s_span_points_at_its_sentence_in_the_corpus(finished: FinishedRun, world: World) -> None:
    corpus = (world.folder / "corpus.txt").read_text()
    for row in read_pairs(finished.folder):
        assert (row["span_path"], row["span_record"]) == ("corpus.txt", 0)
        assert corpus[row["span_start"] : row["span_end"]] == row["source"]


def test_thresholds_are_learnt_written_and_obeyed(finished: FinishedRun) -> None:
    minimums = read_json(finished.outputs["thresholds"] / "thresholds.json")["minimums"]
    assert set(minimums) == {"faithfulness", "saliency", "equivalence"}
    for row in read_pairs(finished.folder):
        assert row["faithfulness"] >= minimums["faithfulness"] and row["saliency"] >= minimums["saliency"]


def test_the_ledger_holds_the_figures_of_the_files(finished: FinishedRun) -> None:
    funnel = read_json(finished.outputs["pairs"] / "funnel.json")
    with Ledger.read(finished.folder / LEDGER_NAME) as ledger:
        figures = {stage.name: ledger.figures(stage.fingerprint) for stage in ledger.stages()}
    assert figures["candidates"]["num_candidates"] == funnel["num_candidates"]
    assert figures["pairs"]["funnel"]["losses"] == funnel["losses"]
    assert figures["student"]["num_examples"] == funnel["num_kept"]
    assert len(figures["evaluation"]["examples"]) == 6


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("synthesis.num_sources=5", "sources candidates thresholds verdicts pairs student evaluation report"),
        ("synthesis.temperature=0.9", "candidates thresholds verdicts pairs student evaluation report"),
        ("synthesis.quantile=0.2", "thresholds verdicts pairs student evaluation report"),
        ("synthesis.newswire_share=0.5", "pairs student evaluation report"),
        ("training.learning_rate=1e-4", "student evaluation report"),
        ("evaluation.temperature=0.1", "evaluation report"),
        ("model.dtype=int8", "candidates thresholds verdicts pairs student evaluation report"),
        ("run.name=other", "report"),
        ("run.seed=4", "sources candidates thresholds verdicts pairs student evaluation report"),
    ],
)
def test_changing_one_setting_makes_again_only_what_depends_on_it(
    finished: FinishedRun, world: World, override: str, again: str
) -> None:
    assert stages_to_run(world, finished.folder) == []
    assert stages_to_run(world, finished.folder, override) == again.split()


def stages_to_run(world: World, folder: Path, *overrides: str) -> list[str]:
    from potstill.runs.estimate import plan

    recipe = read_recipe(world.recipe, overrides)
    stages = build_stages(recipe, folder)
    unmeasured = [stage_without_estimate(stage) for stage in stages]
    return [row.stage for row in plan(unmeasured, folder, recipe.run.seed) if not row.is_done]


def stage_without_estimate(stage: Any) -> Any:
    from dataclasses import replace

    return replace(stage, estimate=None)


def test_a_changed_setting_leaves_the_old_outputs_to_go_back_to(copied: FinishedRun, world: World) -> None:
    changed = run_recipe(world, copied.folder, "training.max_steps=2")
    assert changed.outputs["pairs"] == copied.outputs["pairs"]
    assert changed.outputs["student"] != copied.outputs["student"]
    assert (copied.folder / "student").resolve() == (changed.outputs["student"] / "student").resolve()
    back = run_recipe(world, copied.folder)
    assert back.outputs == copied.outputs
    assert (copied.folder / "student").resolve() == (copied.outputs["student"] / "student").resolve()


def test_newswire_pairs_are_added_under_ids_of_their_own(copied: FinishedRun, world: World) -> None:
    plain = read_pairs(copied.folder)
    with_news = run_recipe(world, copied.folder, "synthesis.newswire_share=1.0", "training.max_steps=1")
    rows = read_pairs(with_news.folder)
    assert len(rows) == 2 * len(plain) == len({row["id"] for row in rows})
    assert [row for row in rows if row["source"] in SOURCES] == plain
    assert all(row["source"] == row["source"].lower() for row in rows[len(plain) :])


def test_the_report_tells_the_funnel_the_systems_and_the_settings(finished: FinishedRun) -> None:
    page = (finished.folder / "report.html").read_text()
    funnel = read_json(finished.outputs["pairs"] / "funnel.json")
    for told in (*funnel["losses"], "student", "few-shot prompt", "plain prompt", "first clause", "ROUGE-L"):
        assert told in page, told
    assert "<script" not in page
