"""The real stages killed, interrupted and out of disk: the same command again ends in the same bytes."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from potstill.files import sha256_of
from potstill.runs.complete import NAME
from runs.stages.faults import Ended, Faults
from runs.stages.tiny_world import World
from small_disk import small_disk_at

STAGES = ("sources", "candidates", "thresholds", "verdicts", "pairs", "student", "evaluation", "report")
DISK_FULL = 0
# Where in a stage it is hit, as a share of its points: early, late and in between.
PLACES = dict(zip(STAGES, (0.5, 0.6, 0.3, 0.9, 0.7, 0.45, 0.5, 0.2), strict=True))


class Undisturbed(NamedTuple):
    folder: Path
    hashes: dict[str, str]
    points: dict[str, int]

    def up_to(self, stage: str, folder: Path) -> Path:
        """A copy in `folder` of the run as it was before `stage`, so that a test computes little."""
        shutil.copytree(self.folder, folder, symlinks=True)
        for later in STAGES[STAGES.index(stage) :]:
            (output,) = (folder / "stages").glob(f"{later}-*")
            shutil.rmtree(output)
        for link in folder.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink()
        return folder


@pytest.fixture(scope="module")
def undisturbed(faults: Faults, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return run_undisturbed(faults, tmp_path_factory.mktemp("undisturbed") / "run")


def run_undisturbed(faults: Faults, folder: Path) -> Undisturbed:
    ended = faults.distill(folder)
    assert ended.code == 0, ended.stderr
    assert all(ended.points[stage] > 5 for stage in STAGES), ended.points
    return Undisturbed(folder, hashes(folder), ended.points)


def hashes(folder: Path) -> dict[str, str]:
    """Of every output and of what each `complete.json` says of them."""
    stages = folder / "stages"
    files = [path for path in stages.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    for path in stages.glob(f"*/{NAME}"):
        for name, entry in json.loads(path.read_text())["files"].items():
            assert sha256_of(path.parent / name) == entry["sha256"]
    return {str(path.relative_to(stages)): sha256_of(path) for path in sorted(files)}


def check_resumed(folder: Path, faults: Faults, wanted: Undisturbed) -> None:
    ended = faults.distill(folder)
    assert ended.code == 0, ended.stderr
    assert hashes(folder) == wanted.hashes
    assert not list(folder.rglob(".tmp-*"))
    for name in ("student", "pairs.parquet", "pairs.jsonl", "report.html"):
        assert (folder / name).exists()


def test_two_runs_of_one_recipe_end_in_the_same_bytes(
    tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    check_resumed(tmp_path / "run", faults, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_in_any_stage_changes_no_byte(
    stage: str, tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    folder = undisturbed.up_to(stage, tmp_path / "run")
    point = int(PLACES[stage] * undisturbed.points[stage])
    assert faults.distill(folder, (stage, point, signal.SIGKILL)).code == -signal.SIGKILL
    unfinished = [path for path in (folder / "stages").iterdir() if not (path / NAME).exists()]
    assert [path.name.rpartition("-")[0] for path in unfinished] in ([stage], [])
    check_resumed(folder, faults, undisturbed)


@pytest.mark.slow
def test_kills_in_every_stage_one_after_the_other_change_no_byte(
    tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    folder = tmp_path / "run"
    for stage in STAGES:
        assert faults.distill(folder, (stage, 4, signal.SIGKILL)).code == -signal.SIGKILL, stage
    check_resumed(folder, faults, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [("candidates", signal.SIGTERM, 143), ("student", signal.SIGINT, 130)],
)
def test_ctrl_c_and_sigterm_say_how_to_go_on_and_change_no_byte(
    stage: str, number: int, code: int, tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    folder = undisturbed.up_to(stage, tmp_path / "run")
    ended = faults.distill(folder, (stage, undisturbed.points[stage] // 2, number))
    assert ended.code == code, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last == f"Stopped. What is finished is kept; go on with: potstill run resume {folder}"
    assert "Traceback" not in ended.stderr
    resumed = faults.call("run", "resume", str(folder))
    assert resumed.code == 0, resumed.stderr
    check_resumed(folder, faults, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sources", "verdicts", "student", "report"])
def test_a_full_disk_in_a_stage_is_one_line_and_nothing_is_lost(
    stage: str, tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    folder = undisturbed.up_to(stage, tmp_path / "run")
    # Without the ledger's statements, which are no points here, a stage has fewer.
    ended = faults.distill(folder, (stage, 2, DISK_FULL))
    check_full(ended)
    check_resumed(folder, faults, undisturbed)


def check_full(ended: Ended) -> None:
    assert ended.code == 4, ended.stderr
    told = [line for line in ended.stderr.splitlines() if line.startswith("potstill: ")]
    assert len(told) == 1 and "Traceback" not in ended.stderr, ended.stderr
    assert "room" in told[0] and "Free some space and run the same command again" in told[0], told


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", "4m") as folder:
        yield folder


@pytest.mark.slow
def test_a_disk_that_is_really_full_is_one_line_wherever_it_happens(
    small_disk: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    folder, ballast = small_disk / "run", small_disk / "ballast"
    num_full = 0
    # A little more room each time, so that the same run stops in stage after stage.
    for room in range(48 << 10, 3 << 20, 160 << 10):
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - room)))
        ended = faults.distill(folder)
        ballast.unlink()
        if ended.code == 0:
            break
        check_full(ended)
        num_full += 1
    assert num_full >= 3
    check_resumed(folder, faults, undisturbed)


@pytest.mark.soak
def test_kills_change_no_byte_in_bfloat16_either(world: World, tmp_path: Path) -> None:
    faults = Faults(world.recipe, tmp_path, "--bf16")
    wanted = run_undisturbed(faults, tmp_path / "undisturbed")
    for stage in STAGES:
        for point in range(0, wanted.points[stage], 1 + wanted.points[stage] // 3):
            folder = wanted.up_to(stage, tmp_path / f"{stage}-{point}")
            assert faults.distill(folder, (stage, point, signal.SIGKILL)).code == -signal.SIGKILL
            check_resumed(folder, faults, wanted)
    faults.close()


@pytest.mark.soak
def test_a_kill_at_every_point_of_every_stage_changes_no_byte(
    tmp_path: Path, faults: Faults, undisturbed: Undisturbed
) -> None:
    for stage in STAGES:
        for point in range(undisturbed.points[stage]):
            folder = undisturbed.up_to(stage, tmp_path / f"{stage}-{point}")
            code = faults.distill(folder, (stage, point, signal.SIGKILL)).code
            check_resumed(folder, faults, undisturbed)
            shutil.rmtree(folder)
            if code == 0 and point:
                # Where the stages before it stand already, a stage has fewer points than in a whole run.
                break
            assert code == -signal.SIGKILL, (stage, point)
