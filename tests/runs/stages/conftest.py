"""A whole run in seconds (see tiny_world.py). What is made here is shared by the tests and stays."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from runs.stages.faults import Faults
from runs.stages.tiny_run import FinishedRun, command_environment, run_recipe, settle_the_machine
from runs.stages.tiny_world import World, make_world

Potstill = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True, scope="package")
def _settled() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        settle_the_machine(patch)
        yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="package")
def faults(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    started = Faults(world.recipe, tmp_path_factory.mktemp("faults"))
    yield started
    started.close()


@pytest.fixture(scope="package")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return run_recipe(world, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def copied(finished: FinishedRun, tmp_path: Path) -> FinishedRun:
    """A copy of the finished run, for a test that goes on with it."""
    folder = tmp_path / "copied"
    shutil.copytree(finished.folder, folder, symlinks=True)
    outputs = {name: folder / path.relative_to(finished.folder) for name, path in finished.outputs.items()}
    return FinishedRun(folder, finished.recipe, outputs)


@pytest.fixture
def own_world(world: World, tmp_path: Path) -> World:
    """A copy of the world, for a test that spoils it."""
    shutil.copytree(world.folder, tmp_path / "world")
    return World(tmp_path / "world")


@pytest.fixture(scope="package")
def potstill_in() -> Callable[[Path], Potstill]:
    """The command in a process of its own, with a folder as its home and its place."""

    def at(home: Path) -> Potstill:
        def call(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "potstill", *map(str, arguments)],
                capture_output=True,
                text=True,
                cwd=home,
                env=command_environment(home) | changes,
                timeout=120,
            )

        return call

    return at


@pytest.fixture
def potstill(potstill_in: Callable[[Path], Potstill], tmp_path: Path) -> Potstill:
    return potstill_in(tmp_path)
