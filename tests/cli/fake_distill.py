"""The command with a fake pipeline behind it: two stages, the second as slow as the environment says."""

import os
import sys
import time
from pathlib import Path
from types import ModuleType

from potstill.files import write_text
from potstill.runs.recipe import Recipe
from potstill.runs.stage import Estimate, Stage, StageContext
from potstill.settings import to_table


def build_stages(recipe: Recipe, run_folder: Path) -> list[Stage]:
    def draw(context: StageContext) -> None:
        write_text(context.folder / "pairs.jsonl", f"{recipe.synthesis.num_sources}\n")
        context.record("kept", 12)

    def train(context: StageContext) -> None:
        print("training", file=sys.stderr, flush=True)
        time.sleep(float(os.environ.get("FAKE_SLEEP_S", "0")))
        write_text(context.folder / "student" / "config.json", "{}")
        write_text(context.folder / "report.html", "<p>done</p>")
        example = {"source": "a long \x1b[31m text", "before": "long", "after": "text"}
        context.record("examples", [example])

    samples = to_table(recipe.synthesis)
    return [
        Stage(
            "pairs", 1, {"num_sources": samples["num_sources"]}, (), draw, publishes=("pairs.jsonl",),
            estimate=lambda: Estimate("draw", tokens=5000, seconds=61, memory_bytes=2**30, disk_bytes=1000),
        ),
        Stage(
            "student", 1, to_table(recipe.training), ("pairs",), train, publishes=("student", "report.html"),
            estimate=lambda: Estimate("train", seconds=30, memory_bytes=2**31),
        ),
    ]  # fmt: skip


def as_module() -> ModuleType:
    module = ModuleType("potstill.runs.stages.distill")
    module.__dict__["build_stages"] = build_stages
    return module


if __name__ == "__main__":
    from potstill.cli.main import main

    sys.modules["potstill.runs.stages.distill"] = as_module()
    main()
