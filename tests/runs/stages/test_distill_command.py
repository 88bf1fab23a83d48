"""`potstill distill` and what follows it, as the user types them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple

import pytest
import torch

from runs.stages.faults import Faults
from runs.stages.tiny_world import LESSONS, World

Potstill = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.slow
STAGES = ["sources", "candidates", "thresholds", "verdicts", "pairs", "student", "evaluation", "report"]


class Commanded(NamedTuple):
    folder: Path
    told: CompletedProcess[str]


@pytest.fixture(scope="module")
def commanded(
    world: World, tmp_path_factory: pytest.TempPathFactory, potstill_in: Callable[..., Potstill]
) -> Commanded:
    home = tmp_path_factory.mktemp("home")
    told = potstill_in(home)("distill", world.recipe)
    assert told.returncode == 0, told.stderr
    return Commanded(home / "runs" / "tiny", told)


def test_the_command_shows_every_stage_then_where_everything_is(commanded: Commanded) -> None:
    for stage in ("candidates", "thresholds", "verdicts", "pairs", "training", "evaluation"):
        assert re.search(rf"^{stage}: .* in \d+ s$", commanded.told.stderr, re.MULTILINE), stage
    for name in ("student", "pairs.parquet", "pairs.jsonl", "report.html"):
        assert re.search(rf"^{name} +runs/tiny/{name}$", commanded.told.stdout, re.MULTILINE), name
        assert (commanded.folder / name).exists()
    assert "Traceback" not in commanded.told.stderr


def test_the_command_ends_with_a_table_of_sentences_before_and_after(commanded: Commanded) -> None:
    header, *rows = commanded.told.stdout.splitlines()
    assert header.split() == ["source", "before", "after"]
    shown = [row for row in rows if any(row.startswith(source) for source, _, _ in LESSONS)]
    assert len(shown) == 6
    assert 'potstill generate runs/tiny/student "…"' in commanded.told.stdout


def test_the_same_command_again_makes_nothing_and_tells_the_same(
    commanded: Commanded, world: World, potstill_in: Callable[..., Potstill]
) -> None:
    before = written_files(commanded.folder)
    again = potstill_in(commanded.folder.parents[1])("distill", world.recipe)
    assert (again.returncode, again.stdout) == (0, commanded.told.stdout)
    assert written_files(commanded.folder) == before


def test_json_tells_places_stages_and_examples(
    commanded: Commanded, world: World, potstill_in: Callable[..., Potstill]
) -> None:
    told = json.loads(potstill_in(commanded.folder.parents[1])("distill", world.recipe, "--json").stdout)
    assert told["schema"] == "potstill.run/1"
    assert set(told["results"]) == {"student", "pairs.parquet", "pairs.jsonl", "report.html"}
    assert list(told["stages"]) == STAGES
    assert [set(example) for example in told["examples"]] == [{"source", "before", "after"}] * 6


@pytest.mark.parametrize("model", ["student", ""])
def test_generate_uses_the_student_by_its_folder_or_by_its_run_s(
    commanded: Commanded, potstill: Potstill, model: str
) -> None:
    source, _, _ = LESSONS[0]
    told = potstill("generate", commanded.folder / model, source, "--json", "--quiet")
    assert told.returncode == 0, told.stderr
    (completion,) = json.loads(told.stdout)["completions"]
    assert completion["finish_reason"] == "stop"
    assert completion["text"].endswith(".") and "\n" not in completion["text"]


def test_the_student_says_the_same_in_transformers(commanded: Commanded, potstill: Potstill) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `oracles`"
    )
    folder = commanded.folder / "student"
    card = json.loads((folder / "potstill.json").read_text())
    sources = [source for source, _, _ in LESSONS[:4]]
    told = potstill("generate", folder, *sources, "--json", "--quiet", "--temperature", "0")
    ours = [completion["text"] for completion in json.loads(told.stdout)["completions"]]

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    theirs = []
    for source in sources:
        prompt = card["prompt_template"].replace("{source}", source)
        ids = tokenizer(tokenizer.bos_token + prompt, return_tensors="pt", add_special_tokens=False).input_ids
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
        text = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
        theirs.append(text.partition("\n")[0].strip())
    assert ours == theirs


def test_a_task_a_corpus_and_a_teacher_need_no_recipe(
    world: World, potstill: Potstill, tmp_path: Path
) -> None:
    told = potstill(
        *("distill", "--task", world.folder / "tiny.toml", "--corpus", world.folder / "corpus.txt"),
        *("--teacher", world.folder / "base", "--eval", world.folder / "eval.jsonl", "--out", "made"),
        *("--set", "synthesis.min_words=8", "--set", "synthesis.samples=6", "--set", "training.max_steps=2"),
        *("--set", "synthesis.shots=2", "--set", "evaluation.resamples=100", "--threads", "1", "--quiet"),
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    assert (tmp_path / "made" / "student" / "model.safetensors").is_file()


def test_a_dry_run_prints_the_plan_and_writes_nothing(world: World, faults: Faults, tmp_path: Path) -> None:
    told = faults.call("distill", str(world.recipe), "--dry-run", place=tmp_path)
    assert told.code == 0, told.stderr
    header, *rows = told.stdout.splitlines()
    assert header.split() == ["stage", "work", "tokens", "time", "memory", "disk"]
    assert [row.split()[0] for row in rows] == [*STAGES, "total"]
    assert "Nothing was written" in told.stderr
    assert written_files(tmp_path) == set()


def test_a_dry_run_as_json_gives_figures_for_what_computes(
    world: World, faults: Faults, tmp_path: Path
) -> None:
    told = faults.call("distill", str(world.recipe), "--dry-run", "--json", place=tmp_path)
    plan = json.loads(told.stdout)
    rows = {row["stage"]: row for row in plan["stages"]}
    for stage in ("candidates", "thresholds", "verdicts", "pairs", "student", "evaluation"):
        for figure in ("tokens", "seconds", "memory_bytes", "disk_bytes"):
            assert rows[stage][figure] > 0, (stage, figure)
    assert plan["total"]["seconds"] == pytest.approx(sum(row["seconds"] or 0 for row in rows.values()))


def test_a_dry_run_counts_finished_stages_as_done(
    commanded: Commanded, world: World, potstill_in: Callable[..., Potstill]
) -> None:
    command = potstill_in(commanded.folder.parents[1])
    changed = command("distill", world.recipe, "--dry-run", "--json", "--set", "training.learning_rate=1e-4")
    done = [row["stage"] for row in json.loads(changed.stdout)["stages"] if row["is_done"]]
    assert done == STAGES[: STAGES.index("student")]


def test_commands_of_parts_not_yet_built_do_not_exist(world: World, faults: Faults, tmp_path: Path) -> None:
    told = faults.call("distill", str(world.recipe), "--executor", "local", place=tmp_path)
    assert told.code == 2 and "--executor" in told.stderr


def written_files(folder: Path) -> set[tuple[str, int, int]]:
    """All outputs with their times; what Python and the hub library keep for themselves does not count."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    outputs = [path for path in paths if "ledger" not in path.name and path.name != ".lock"]
    return {(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in outputs}
