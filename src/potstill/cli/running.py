"""What `distill` and `run resume` share: run a recipe's stages, and tell where everything is."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.cli.configuration import UserSettings, apply_compile, apply_hub
from potstill.cli.output import format_bytes, print_json, print_table, printable, say
from potstill.locks import locked
from potstill.progress import format_duration, progress_for

if TYPE_CHECKING:
    from potstill.runs.recipe import Recipe


def run_recipe(
    recipe: "Recipe", user: UserSettings, *, as_json: bool, quiet: bool, redo: str | None = None
) -> None:
    """Run what is missing of the recipe and print where the results are."""
    from potstill.runs.recipe import run_folder_of

    folder = run_folder_of(recipe, user.paths.runs)
    # Asked again by `execute`; here so that a second run is refused before anything heavy is imported.
    if folder.is_dir():
        with locked(folder):
            pass
    from potstill.runs.execute import Terminated, execute
    from potstill.runs.ledger import wal_problem
    from potstill.runs.recipe import recipe_text
    from potstill.runs.stages.distill import build_stages

    recipe = with_device(recipe, user)
    stages = build_stages(recipe, folder)
    if problem := wal_problem(folder):
        say(problem)
    try:
        outputs = execute(
            stages,
            folder,
            recipe.run.seed,
            progress_for(sys.stderr, quiet=quiet),
            recipe=recipe_text(recipe),
            environment=environment(),
            redo=redo,
        )
    except (KeyboardInterrupt, Terminated):
        say(f"\nStopped. What is finished is kept; go on with: potstill run resume {folder}")
        raise
    show_results(folder, outputs, as_json=as_json)


def show_plan(recipe: "Recipe", user: UserSettings, *, as_json: bool, quiet: bool) -> None:
    """The stages with what they are expected to cost; nothing is written."""
    from potstill.runs.estimate import plan, plan_total
    from potstill.runs.recipe import run_folder_of
    from potstill.runs.stages.distill import build_stages

    folder = run_folder_of(recipe, user.paths.runs)
    recipe = with_device(recipe, user)
    rows = plan(build_stages(recipe, folder), folder, recipe.run.seed)
    total = plan_total(rows)
    if as_json:
        told = [{"stage": row.stage, "is_done": row.is_done, **row.estimate._asdict()} for row in rows]
        print_json("potstill.plan/1", {"run": str(folder), "stages": told, "total": total._asdict()})
        return
    columns = ("stage", "work", "tokens", "time", "memory", "disk")
    lines: list[tuple[object, ...]] = [
        (row.stage, row.estimate.work, *_costs(row.estimate._asdict())) for row in rows
    ]
    print_table(columns, [*lines, ("total", "", *_costs(total._asdict()))], right=columns[2:])
    say(f"The run would be kept in {folder}. Nothing was written.")


def show_results(folder: Path, outputs: Mapping[str, Path], *, as_json: bool) -> None:
    """Where model, dataset and report are, and what the report stage has to say in a few lines."""
    examples = _examples(folder)
    published = sorted(path for path in folder.iterdir() if path.is_symlink() and path.exists())
    if as_json:
        places = {path.name: str(path) for path in published}
        stages = {name: str(path) for name, path in outputs.items()}
        print_json(
            "potstill.run/1", {"run": str(folder), "results": places, "stages": stages, "examples": examples}
        )
        return
    if examples:
        columns = ("source", "before", "after")
        print_table(columns, [[example[column] for column in columns] for example in examples])
        print()
    for path in published:
        print(f"{path.name:<14} {printable(path)}")
    if (folder / "student").exists():
        print(f'\nUse it:  potstill generate {printable(folder / "student")} "…"')


def with_device(recipe: "Recipe", user: UserSettings) -> "Recipe":
    """The recipe with the user's device and threads where it names none; threads and hub take effect here."""
    run = recipe.run
    run = replace(run, device=run.device or user.device.name, threads=run.threads or user.device.threads)
    apply_hub(user.hub)
    apply_compile(user.compile)
    from potstill.devices import default_device, use_threads

    default_device(run.device)
    use_threads(run.threads)
    # Where a run is kept must not show in what it makes.
    return replace(recipe, run=replace(run, out=None))


def environment() -> dict[str, Any]:
    """What the run ran on, for its ledger; no user, no paths, no variables."""
    from potstill import __version__
    from potstill.devices import describe_machine

    return {"potstill": __version__, **describe_machine()}


def _examples(folder: Path) -> list[dict[str, str]]:
    """The figure `examples` of the last stage that recorded it: sources with outputs before and after."""
    from potstill.runs.execute import LEDGER_NAME
    from potstill.runs.ledger import Ledger

    with Ledger.read(folder / LEDGER_NAME) as ledger:
        for stage in reversed(ledger.stages()):
            found = ledger.figures(stage.fingerprint).get("examples")
            if found:
                return [dict(example) for example in found]
    return []


def _costs(values: Mapping[str, Any]) -> tuple[str, str, str, str]:
    tokens, seconds = values["tokens"], values["seconds"]
    return (
        "" if tokens is None else f"{tokens:,}",
        "" if seconds is None else format_duration(seconds),
        format_bytes(values["memory_bytes"]),
        format_bytes(values["disk_bytes"]),
    )
