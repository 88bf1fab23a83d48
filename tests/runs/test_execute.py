import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import DamagedError, LockedError, MissingError
from potstill.files import write_json, write_text
from potstill.locks import locked
from potstill.progress import Silent
from potstill.runs.execute import LEDGER_NAME, execute
from potstill.runs.ledger import Ledger
from potstill.runs.stage import Stage, StageContext

RAN: list[str] = []


def make_stage(name: str, needs: tuple[str, ...] = (), version: int = 1, **settings: Any) -> Stage:
    def run(context: StageContext) -> None:
        RAN.append(name)
        for index, path in context.chunks(3, ".json"):
            read = {
                need: json.loads((folder / "all.json").read_text()) for need, folder in context.inputs.items()
            }
            write_json(path, {"index": index, "seed": context.seed, "settings": settings, "read": read})
        chunks = [json.loads(path.read_text()) for path in context.chunk_paths(3, ".json")]
        write_json(context.folder / "all.json", chunks)
        context.record("num_chunks", len(chunks))

    return Stage(name, version, settings, needs, run)


def four_stages(**changed: dict[str, Any]) -> list[Stage]:
    return [
        make_stage("contexts", **changed.get("contexts", {})),
        make_stage("candidates", ("contexts",), **changed.get("candidates", {})),
        make_stage("pairs", ("contexts", "candidates"), **changed.get("pairs", {})),
        make_stage("report", ("pairs",), **changed.get("report", {})),
    ]


def run(stages: Sequence[Stage], folder: Path, seed: int = 0) -> tuple[list[str], dict[str, Path]]:
    """Which stages ran, and where all outputs are."""
    RAN.clear()
    outputs = execute(stages, folder, seed, Silent())
    return list(RAN), outputs


def test_stages_run_in_order_and_a_second_call_runs_nothing(tmp_path: Path) -> None:
    ran, outputs = run(four_stages(), tmp_path)
    assert ran == ["contexts", "candidates", "pairs", "report"]
    assert all((folder / "complete.json").exists() for folder in outputs.values())
    again, same = run(four_stages(), tmp_path)
    assert again == [] and same == outputs


@pytest.mark.parametrize(
    ("changed", "reruns"),
    [
        ("contexts", ["contexts", "candidates", "pairs", "report"]),
        ("candidates", ["candidates", "pairs", "report"]),
        ("pairs", ["pairs", "report"]),
        ("report", ["report"]),
    ],
)
def test_a_changed_setting_reruns_only_what_depends_on_it(
    tmp_path: Path, changed: str, reruns: list[str]
) -> None:
    _, before = run(four_stages(), tmp_path)
    ran, _ = run(four_stages(**{changed: {"threshold": 2}}), tmp_path)
    assert ran == reruns
    ran, after = run(four_stages(), tmp_path)
    assert ran == [] and after == before


def test_a_new_version_or_seed_reruns(tmp_path: Path) -> None:
    run(four_stages(), tmp_path)
    newer = [*four_stages()[:3], make_stage("report", ("pairs",), version=2)]
    assert run(newer, tmp_path)[0] == ["report"]
    assert len(run(four_stages(), tmp_path, seed=1)[0]) == 4


def test_a_changed_input_file_reruns(tmp_path: Path) -> None:
    document = tmp_path / "corpus" / "a.txt"
    write_text(document, "one")

    def stages() -> list[Stage]:
        plain = make_stage("contexts")
        return [Stage(plain.name, 1, {}, (), plain.run, files=(document.parent,))]

    assert run(stages(), tmp_path / "run")[0] == ["contexts"]
    assert run(stages(), tmp_path / "run")[0] == []
    write_text(document, "two")
    assert run(stages(), tmp_path / "run")[0] == ["contexts"]


def test_only_missing_chunks_are_made_again(tmp_path: Path) -> None:
    written: list[int] = []
    stop_at = [2]

    def work(context: StageContext) -> None:
        for index, path in context.chunks(4, ".txt"):
            if index == stop_at[0]:
                raise KeyboardInterrupt
            written.append(index)
            write_text(path, str(index))

    stage = Stage("chunked", 1, {}, (), work)
    with pytest.raises(KeyboardInterrupt):
        execute([stage], tmp_path, 0, Silent())
    stop_at[0] = -1
    execute([stage], tmp_path, 0, Silent())
    assert written == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", ["changed", "shortened", "gone"])
def test_a_damaged_output_is_named_with_the_command_that_makes_it_again(tmp_path: Path, damage: str) -> None:
    _, outputs = run(four_stages(), tmp_path)
    victim = outputs["candidates"] / "chunk-00001.json"
    content = victim.read_bytes()
    if damage == "changed":
        victim.write_bytes(b"X" + content[1:])
    elif damage == "shortened":
        victim.write_bytes(content[:-1])
    else:
        victim.unlink()
    with pytest.raises(DamagedError, match="chunk-00001.json") as raised:
        run(four_stages(), tmp_path)
    assert f"potstill run resume {tmp_path} --redo candidates" in str(raised.value)


def test_published_outputs_are_linked_and_follow_the_settings(tmp_path: Path) -> None:
    def stage(text: str) -> Stage:
        def work(context: StageContext) -> None:
            write_text(context.folder / "report.html", text)

        return Stage("report", 1, {"text": text}, (), work, publishes=("report.html",))

    for text in ("one", "two", "one"):
        execute([stage(text)], tmp_path, 0, Silent())
        assert (tmp_path / "report.html").read_text() == text
    assert (tmp_path / "report.html").is_symlink()


def test_a_locked_folder_is_refused_and_names_the_process(tmp_path: Path) -> None:
    # flock belongs to the open file, so a second opening in the same process is refused as well.
    with locked(tmp_path), pytest.raises(LockedError, match=str(os.getpid())):
        execute(four_stages(), tmp_path, 0, Silent())


def test_the_ledger_tells_of_stages_and_figures(tmp_path: Path) -> None:
    run(four_stages(), tmp_path)
    with Ledger.read(tmp_path / LEDGER_NAME) as ledger:
        stages = ledger.stages()
        assert [stage.name for stage in stages] == ["contexts", "candidates", "pairs", "report"]
        assert all(stage.outcome == "done" and stage.peak_bytes and stage.ended for stage in stages)
        assert ledger.figures(stages[0].fingerprint) == {"num_chunks": 3}
        assert [record.outcome for record in ledger.runs()] == ["done"]


def test_a_failing_stage_keeps_its_exception_and_is_recorded(tmp_path: Path) -> None:
    def work(context: StageContext) -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        execute([Stage("broken", 1, {}, (), work)], tmp_path, 0, Silent())
    with Ledger.read(tmp_path / LEDGER_NAME) as ledger:
        assert [stage.outcome for stage in ledger.stages()] == ["failed"]
        assert [event.message for event in ledger.events()] == ["ZeroDivisionError: ours"]


SLOW_RUN = """
import sys, time
from pathlib import Path
from potstill.progress import Silent
from potstill.runs.execute import execute
from potstill.runs.stage import Stage

def work(context):
    print("working", flush=True)
    time.sleep(60)

execute([Stage("slow", 1, {}, (), work)], Path(sys.argv[1]), 0, Silent())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_run_resumable(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout as said:
        assert said.readline() == "working\n"
        process.send_signal(number)
        code = process.wait(timeout=20)
    # Python ends itself by SIGINT after an unhandled KeyboardInterrupt; the command line turns it into 130.
    assert code == (143 if number == signal.SIGTERM else -signal.SIGINT)
    with Ledger.read(tmp_path / LEDGER_NAME) as ledger:
        assert [stage.outcome for stage in ledger.stages()] == ["interrupted"]
    started = time.monotonic()
    execute([make_stage("other")], tmp_path, 0, Silent())
    assert time.monotonic() - started < 20


def test_a_missing_file_leaves_the_recipe_of_what_was_made(tmp_path: Path) -> None:
    execute(four_stages(), tmp_path, 0, Silent(), recipe="good = 1\n")
    stage = Stage("reads", 1, {}, (), lambda context: None, files=(tmp_path / "typo.jsonl",))
    with pytest.raises(MissingError, match=r"typo\.jsonl does not exist"):
        execute([stage], tmp_path, 0, Silent(), recipe="bad = 1\n")
    assert (tmp_path / "recipe.toml").read_text() == "good = 1\n"


def test_what_only_earlier_settings_published_is_no_longer_linked_but_kept(tmp_path: Path) -> None:
    def publishing(*names: str) -> Stage:
        def write(context: StageContext) -> None:
            for name in names:
                write_text(context.folder / name, name)

        return Stage("makes", 1, {"names": names}, (), write, publishes=names)

    (tmp_path / "mine").symlink_to("elsewhere")
    first = execute([publishing("student", "adapter")], tmp_path, 0, Silent())
    assert (tmp_path / "adapter").exists()
    execute([publishing("student")], tmp_path, 0, Silent())
    assert (tmp_path / "student").exists() and not (tmp_path / "adapter").is_symlink()
    assert (tmp_path / "mine").is_symlink() and (first["makes"] / "adapter").exists()
