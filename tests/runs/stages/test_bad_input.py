"""What a user can get wrong: one line that says what, where and what to do, an exit code, nothing lost."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from potstill.runs.ledger import SCHEMA_VERSION
from runs.stages.faults import Ended, Faults
from runs.stages.tiny_run import FinishedRun, hashes
from runs.stages.tiny_world import World

Spoil = Callable[[World], list[str]]


def check_one_line(ended: Ended, code: int, *parts: object) -> None:
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr and ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("potstill: ")] == lines[-1:], ended.stderr
    missing = [part for part in map(str, parts) if part not in lines[-1]]
    assert not missing, f"{missing} not in: {lines[-1]}"


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def no_model(world: World) -> list[str]:
    return ["--teacher", "nowhere"]


def model_without_weights(world: World) -> list[str]:
    (world.folder / "base" / "model.safetensors").unlink()
    return []


def cut_weights(world: World) -> list[str]:
    path = world.folder / "base" / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return []


def cut_configuration(world: World) -> list[str]:
    path = world.folder / "base" / "config.json"
    path.write_bytes(path.read_bytes()[:40])
    return []


def cut_tokenizer(world: World) -> list[str]:
    path = world.folder / "base" / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:400])
    return []


def half_a_gguf(world: World) -> list[str]:
    (world.folder / "half.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    return ["--teacher", str(world.folder / "half.gguf")]


def unknown_key(world: World) -> list[str]:
    replaced(world.recipe, "num_sources", "num_source")
    return []


def unknown_key_on_the_command_line(world: World) -> list[str]:
    return ["--set", "training.learningrate=1e-3"]


def text_for_a_number(world: World) -> list[str]:
    replaced(world.recipe, "samples = 6", 'samples = "six"')
    return []


def value_out_of_range(world: World) -> list[str]:
    return ["--set", "synthesis.top_p=1.5"]


def recipe_cut(world: World) -> list[str]:
    world.recipe.write_text("[run\nname = 'tiny'\n")
    return []


def no_recipe(world: World) -> list[str]:
    world.recipe.unlink()
    return []


def no_task(world: World) -> list[str]:
    return ["--task", "shortn"]


def empty_corpus(world: World) -> list[str]:
    (world.folder / "corpus.txt").write_text("\n \n")
    return []


def missing_corpus(world: World) -> list[str]:
    (world.folder / "corpus.txt").unlink()
    return []


def latin_1_corpus(world: World) -> list[str]:
    (world.folder / "corpus.txt").write_bytes("A first line.\nUn café près de la gare.\n".encode("latin-1"))
    return []


def corpus_without_sentences(world: World) -> list[str]:
    (world.folder / "corpus.txt").write_text("milk 3 4 5\nbread 6 7 8\n")
    return []


def records_without_text(world: World) -> list[str]:
    (world.folder / "corpus.jsonl").write_text('{"title": "a", "number": 3}\n')
    return ["--corpus", str(world.folder / "corpus.jsonl")]


def cut_records(world: World) -> list[str]:
    (world.folder / "corpus.jsonl").write_text('{"text": "A whole line."}\n{"text": "Half a')
    return ["--corpus", str(world.folder / "corpus.jsonl")]


def no_evaluation_file(world: World) -> list[str]:
    return ["--eval", str(world.folder / "nowhere.jsonl")]


def no_such_device(world: World) -> list[str]:
    return ["--device", "cuda:99"]


def batches_too_small(world: World) -> list[str]:
    return ["--set", "training.batch_tokens=8"]


CASES: list[tuple[Spoil, int, tuple[str, ...]]] = [
    (no_model, 4, ("There is no model 'nowhere'", "a folder with config.json and *.safetensors")),
    (model_without_weights, 4, ("base", "no *.safetensors", "again")),
    (cut_weights, 5, ("base/model.safetensors", "again")),
    (cut_configuration, 5, ("base/config.json", "not valid JSON")),
    (cut_tokenizer, 5, ("base/tokenizer.json", "Fetch it again")),
    (half_a_gguf, 5, ("half.gguf",)),
    (unknown_key, 2, ("recipe.toml", "synthesis", "num_source", "num_sources")),
    (unknown_key_on_the_command_line, 2, ("training", "learningrate", "learning_rate")),
    (text_for_a_number, 2, ("recipe.toml", "synthesis", "samples", "'six'")),
    (value_out_of_range, 2, ("synthesis", "top_p", "1.5", "must be in (0, 1]")),
    (recipe_cut, 2, ("recipe.toml", "not valid TOML", "line 1")),
    (no_recipe, 4, ("There is no recipe", "recipe.toml")),
    (no_task, 2, ("There is no task shortn", "shorten")),
    (empty_corpus, 4, ("corpus.txt", "nothing to read")),
    (missing_corpus, 4, ("corpus.txt", "does not exist")),
    (latin_1_corpus, 5, ("corpus.txt, line 2", "not UTF-8", "iconv")),
    (corpus_without_sentences, 4, ("corpus.txt", "no sentence of 8 to 45 words", "Give more text")),
    (records_without_text, 2, ("corpus.jsonl, line 1", "has no field", "Name the field")),
    (cut_records, 5, ("corpus.jsonl, line 2", "not JSON")),
    (no_evaluation_file, 4, ("nowhere.jsonl", "does not exist")),
    (no_such_device, 4, ("cuda:99", "Leave --device out")),
    (batches_too_small, 2, ("batch_tokens", "8")),
]


@pytest.mark.parametrize(("spoil", "code", "parts"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_one_line_says_what_and_where_and_nothing_is_lost(
    spoil: Spoil,
    code: int,
    parts: tuple[str, ...],
    own_world: World,
    copied: FinishedRun,
    faults: Faults,
) -> None:
    before = hashes(copied.folder / "stages")
    options = spoil(own_world)
    ended = faults.call("distill", str(own_world.recipe), "--out", str(copied.folder), *options)
    check_one_line(ended, code, *parts)
    after = hashes(copied.folder / "stages")
    assert {name: after.get(name) for name in before} == before
    assert not list(copied.folder.rglob(".tmp-*"))


@pytest.mark.parametrize(
    "spoil", [no_model, unknown_key, recipe_cut, no_task, missing_corpus, no_such_device]
)
def test_what_can_be_told_at_once_leaves_no_folder(
    spoil: Spoil, own_world: World, tmp_path: Path, faults: Faults
) -> None:
    options = spoil(own_world)
    ended = faults.call("distill", str(own_world.recipe), "--out", str(tmp_path / "run"), *options)
    assert ended.code in (2, 4)
    assert not (tmp_path / "run").exists()


def test_under_json_an_error_is_json_on_stdout(own_world: World, tmp_path: Path, faults: Faults) -> None:
    cut_weights(own_world)
    ended = faults.call("distill", str(own_world.recipe), "--out", str(tmp_path / "run"), "--json")
    told = json.loads(ended.stdout)
    assert ended.code == told["error"]["exit_code"] == 5
    assert told["error"]["type"] == "DamagedError" and "model.safetensors" in told["error"]["message"]


def test_a_run_that_keeps_nothing_says_which_filters_took_it(
    own_world: World, tmp_path: Path, faults: Faults
) -> None:
    replaced(own_world.folder / "tiny.toml", "min_words = 3", "min_words = 30")
    fixed = [f"--set=synthesis.min_{name}=-100.0" for name in ("faithfulness", "saliency", "equivalence")]
    ended = faults.call("distill", str(own_world.recipe), "--out", str(tmp_path / "run"), *fixed)
    check_one_line(ended, 1, "candidates passed every filter", "too few words", "Raise [synthesis]")


def test_too_few_candidates_to_learn_from_are_told_with_the_settings_that_help(
    own_world: World, tmp_path: Path, faults: Faults
) -> None:
    options = ["--set=synthesis.num_sources=3"]
    ended = faults.call("distill", str(own_world.recipe), "--out", str(tmp_path / "run"), *options)
    check_one_line(ended, 1, "too few to learn thresholds from", "num_sources", "min_faithfulness")


@pytest.mark.parametrize(
    ("link", "stage"),
    [("pairs.jsonl", "pairs"), ("report.html", "report"), ("student/config.json", "student")],
)
def test_a_changed_output_is_named_with_the_command_that_makes_it_again(
    link: str, stage: str, world: World, copied: FinishedRun, faults: Faults
) -> None:
    before = hashes(copied.folder / "stages")
    with open(copied.folder / link, "ab") as file:
        file.write(b"x")
    advice = f"potstill run resume {copied.folder} --redo {stage}"
    check_one_line(faults.distill(copied.folder), 5, Path(link).name, advice)
    resumed = faults.call(*advice.split()[1:])
    assert resumed.code == 0, resumed.stderr
    assert hashes(copied.folder / "stages") == before


def test_a_ledger_of_a_newer_version_is_refused(copied: FinishedRun, faults: Faults) -> None:
    connection = sqlite3.connect(copied.folder / "ledger.sqlite")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    check_one_line(faults.distill(copied.folder), 5, "ledger.sqlite", "newer")


def test_a_folder_that_another_process_works_on_is_refused(copied: FinishedRun, faults: Faults) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom potstill.locks import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", code, str(copied.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        check_one_line(
            faults.distill(copied.folder), 3, f"process {holder.pid}", copied.folder, "Wait for it"
        )
        holder.send_signal(signal.SIGKILL)
    assert faults.distill(copied.folder).code == 0


@pytest.mark.parametrize("name", ["a file", "a file/below"])
def test_an_output_folder_that_cannot_be_one_is_told(name: str, tmp_path: Path, faults: Faults) -> None:
    (tmp_path / "a file").write_text("")
    check_one_line(faults.distill(tmp_path / name), 2, name, "Name another one")


def test_a_student_that_lost_its_weights_says_how_to_get_them_back(
    copied: FinishedRun, faults: Faults
) -> None:
    (copied.folder / "student" / "model.safetensors").unlink()
    ended = faults.call("generate", str(copied.folder), "A sentence.")
    check_one_line(ended, 4, "student", "no *.safetensors")
    shutil.rmtree(copied.folder / "stages")
    ended = faults.call("generate", str(copied.folder), "A sentence.")
    check_one_line(ended, 4, copied.folder, "potstill run resume")
