import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from potstill.files import write_text
from potstill.runs.execute import LEDGER_NAME, RECIPE_NAME


def read(text: str, schema: str) -> dict[str, Any]:
    value = json.loads(text)
    assert isinstance(value, dict) and value["schema"] == schema
    return value


def test_distill_makes_a_run_and_says_where_everything_is(potstill: Command, tmp_path: Path) -> None:
    done = potstill("distill", "--task", "shorten", "--quiet")
    assert done.code == 0, done.err
    for told in (
        "runs/shorten/student",
        "runs/shorten/report.html",
        "runs/shorten/pairs.jsonl",
        "potstill generate",
    ):
        assert told in done.out
    assert "before" in done.out and "\x1b" not in done.out and "\\x1b[31m" in done.out
    assert (tmp_path / "runs/shorten/student/config.json").is_file()


def test_distill_under_json_prints_one_object(potstill: Command) -> None:
    told = read(potstill("distill", "--task", "shorten", "--json", "--quiet").out, "potstill.run/1")
    assert set(told["results"]) == {"pairs.jsonl", "report.html", "student"}
    assert told["examples"][0]["after"] == "text"


def test_a_dry_run_writes_nothing_and_adds_up(potstill: Command, tmp_path: Path) -> None:
    done = potstill("distill", "--task", "shorten", "--dry-run", "--json")
    told = read(done.out, "potstill.plan/1")
    assert told["total"] == {"tokens": 5000, "seconds": 91, "memory_bytes": 2**31, "disk_bytes": 1000}
    assert list(tmp_path.iterdir()) == []
    plain = potstill("distill", "--task", "shorten", "--dry-run")
    assert "1 min 31 s" in plain.out and "2.0 GiB" in plain.out and "Nothing was written" in plain.err


def test_options_reach_the_recipe(potstill: Command, tmp_path: Path) -> None:
    write_text(tmp_path / "a.toml", "[synthesis]\nnum_sources = 3\n")
    done = potstill(
        "distill", "a.toml", "--set", "training.learning_rate=0.001", "--corpus", "x", "--corpus", "y z",
        "--eval", "e.jsonl", "--out", "here", "--threads", "1", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert done.code == 0, done.err
    kept = (tmp_path / "here" / "recipe.toml").read_text()
    assert f'paths = ["{tmp_path}/x", "{tmp_path}/y z"]' in kept
    assert "learning_rate = 0.001" in kept and f'file = "{tmp_path}/e.jsonl"' in kept
    assert "threads = 1" in kept and 'device = "cpu"' in kept and "out =" not in kept


def test_a_changed_setting_reruns_only_what_depends_on_it(potstill: Command) -> None:
    potstill("distill", "--task", "shorten", "--quiet")
    again = potstill("distill", "--task", "shorten", "--set", "training.learning_rate=0.5", "--quiet")
    assert again.code == 0
    stages = read(potstill("run", "show", "shorten", "--json").out, "potstill.run-show/1")["stages"]
    assert [stage["name"] for stage in stages] == ["pairs", "student", "student"]


def test_runs_are_listed_shown_resumed_reported_and_removed(potstill: Command, tmp_path: Path) -> None:
    assert "There are no runs" in potstill("run", "list").err
    potstill("distill", "--task", "shorten", "--quiet")
    (run,) = read(potstill("run", "list", "--json").out, "potstill.run-list/1")["runs"]
    assert run["name"] == "shorten" and run["outcome"] == "done" and run["disk_bytes"] > 0
    assert "done" in potstill("run", "list").out
    shown = potstill("run", "show", "shorten")
    assert "kept" in shown.out and "12" in shown.out
    assert potstill("run", "resume", "shorten", "--quiet").code == 0
    assert potstill("run", "report", "shorten").out.strip() == "runs/shorten/report.html"
    refused = potstill("run", "remove", "shorten")
    assert refused.code == 2 and "--yes" in refused.err
    assert potstill("run", "remove", "shorten", "--yes").code == 0
    assert not (tmp_path / "runs/shorten").exists()


def test_a_stage_can_be_made_again(potstill: Command, tmp_path: Path) -> None:
    potstill("distill", "--task", "shorten", "--quiet")
    (tmp_path / "runs/shorten/pairs.jsonl").write_text("spoilt")
    damaged = potstill("run", "resume", "shorten", "--quiet")
    assert damaged.code == 5 and "pairs.jsonl" in damaged.err and "--redo pairs" in damaged.err
    assert potstill("run", "resume", "shorten", "--redo", "pairs", "--quiet").code == 0
    wrong = potstill("run", "resume", "shorten", "--redo", "pears", "--quiet")
    assert wrong.code == 2 and "it has pairs, student" in wrong.err


def test_a_moved_run_goes_on_without_work(potstill: Command, tmp_path: Path) -> None:
    potstill("distill", "--task", "shorten", "--quiet")
    (tmp_path / "runs/shorten").rename(tmp_path / "moved")
    assert potstill("run", "resume", "moved", "--quiet").code == 0
    stages = read(potstill("run", "show", "moved", "--json").out, "potstill.run-show/1")["stages"]
    assert [stage["name"] for stage in stages] == ["pairs", "student"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("distill",), 2, "give a RECIPE or a --task"),
        (("distill", "none.toml"), 4, "There is no recipe none.toml. Check the spelling"),
        (("distill", "--task", "shorten", "--out", "file"), 2, "file cannot be made a folder"),
        (("distill", "--task", "shorten", "--out", "a" * 300), 4, "Name another one"),
        (("distill", "--task", "shorten", "--set", "run.threads=100000"), 2, "in [1, 1024]"),
        (("distill", "--task", "shorten", "--threads", "100000"), 2, "--threads"),
        (("generate", "gemma-3-270m", "\udcff"), 2, "is not UTF-8"),
        (("generate", "gemma-3-270m", "a", "--stop", "\udcff"), 2, "is not UTF-8"),
        (("run", "resume", "lost"), 4, "potstill distill RECIPE --out runs/lost"),
        (("run", "show", "new"), 4, "potstill run resume runs/new"),
        (
            ("distill", "--task", "shorten", "--set", "training.learning_rat=1"),
            2,
            "did you mean 'learning_rate'",
        ),
        (("distill", "--task", "shorten", "--set", "nonsense"), 2, "table.key=value"),
        (("distill", "--task", "shorten", "--device", "abacus"), 2, "abacus"),
        (("run", "show", "none"), 4, "There is no run 'none'"),
        (("run", "shw"), 2, "Did you mean 'show'"),
        (("bogus",), 2, "No such command"),
        (("distill", "--bogus"), 2, "No such option"),
        (("config", "show", "--set", "a.b=1"), 2, "name the recipe"),
    ],
)
def test_a_mistake_is_told_in_words_and_in_json(
    potstill: Command, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    write_text(tmp_path / "runs/lost" / LEDGER_NAME, "")
    write_text(tmp_path / "runs/new" / RECIPE_NAME, "")
    plain = potstill(*arguments)
    assert plain.code == code and message in plain.err and "Traceback" not in plain.err and plain.out == ""
    told = read(potstill(*arguments, "--json").out, "potstill.error/1")["error"]
    assert told["exit_code"] == code and message in told["message"]


def test_a_mistake_of_ours_keeps_its_traceback(potstill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("potstill.runs.folder.run_folders", broken)
    with pytest.raises(ZeroDivisionError):
        potstill("run", "list")


def test_a_folder_that_may_not_be_written_is_told_with_a_hint(
    potstill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "/x/.lock")

    monkeypatch.setattr("potstill.runs.execute.locked", refuse)
    done = potstill("distill", "--task", "shorten", "--quiet")
    assert done.code == 4 and "/x/.lock" in done.err and "--out" in done.err


def test_a_damaged_ledger_does_not_hide_the_other_runs(potstill: Command, tmp_path: Path) -> None:
    potstill("distill", "--task", "shorten", "--quiet")
    write_text(tmp_path / "runs/bad" / LEDGER_NAME, "no database" * 200)
    runs = read(potstill("run", "list", "--json").out, "potstill.run-list/1")["runs"]
    assert {run["name"]: run["outcome"] for run in runs} == {"bad": "damaged", "shorten": "done"}
    assert potstill("run", "show", "bad").code == 5


@pytest.mark.parametrize("name", ["with space", "quote'd", "漢字", "é", "-dash", "a;b"])
def test_odd_folder_names_work(potstill: Command, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert potstill("distill", "--task", "shorten", "--quiet", "--out", str(folder)).code == 0
    assert potstill("run", "resume", str(folder), "--quiet").code == 0
    assert potstill("run", "show", str(folder)).code == 0


def test_a_folder_whose_name_is_not_utf_8_works(potstill: Command, tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    assert potstill("distill", "--task", "shorten", "--quiet", "--out", str(folder)).code == 0
    done = potstill("run", "resume", str(folder), "--quiet")
    assert done.code == 0 and "\\xe9" in done.out or "\\udce9" in done.out


def test_no_secret_of_the_environment_reaches_a_runs_folder(
    potstill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_plantedsecret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-plantedsecret")
    potstill("distill", "--task", "shorten", "--quiet")
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"plantedsecret" in path.read_bytes()]


def test_no_command_connects_to_anything(potstill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"connects to {arguments[1:]}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    commands = (
        ("distill", "--task", "shorten", "--quiet"),
        ("run", "list"),
        ("run", "show", "shorten"),
        ("run", "resume", "shorten", "--quiet"),
        ("model", "list"),
        ("doctor",),
        ("config", "show"),
    )
    for command in commands:
        assert potstill(*command).code in (0, 4), command
