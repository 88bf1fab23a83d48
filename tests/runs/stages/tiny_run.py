"""Running the tiny world's recipe, in this process or as the command, and looking at what came of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from potstill.progress import Silent
from potstill.runs.execute import LEDGER_NAME, execute
from potstill.runs.recipe import Recipe, read_recipe, recipe_text
from potstill.runs.stages.distill import build_stages
from runs.stages.tiny_world import World


def settle_the_machine(patch: pytest.MonkeyPatch) -> None:
    """One thread, and float32 on every machine: there a number hangs on what is computed beside it."""
    torch.set_num_threads(1)
    patch.setattr("potstill.devices.bf16_is_faster", lambda device_type="cpu": False)


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended by itself: its folder, its recipe, and the output folder of each stage."""

    folder: Path
    recipe: Recipe
    outputs: dict[str, Path]


def run_recipe(world: World, folder: Path, *overrides: str) -> FinishedRun:
    """What `potstill distill` does, in this process."""
    recipe = read_recipe(world.recipe, overrides)
    stages = build_stages(recipe, folder)
    outputs = execute(stages, folder, recipe.run.seed, Silent(), recipe=recipe_text(recipe))
    return FinishedRun(folder, recipe, outputs)


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file in a run's folder but the lock and the ledger, whose times differ."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.startswith(LEDGER_NAME)
    }


def command_environment(home: Path) -> dict[str, str]:
    """An empty home, nothing from a hub, one thread."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "POTSTILL", "HF_"))
    }
    return kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
