"""`potstill distill`: from a recipe, or a task and some text, to a student and its report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from potstill.cli.options import Device, Json, Quiet, Set, Threads

if TYPE_CHECKING:
    from potstill.runs.recipe import Recipe


RecipeFile = Annotated[Path | None, typer.Argument(metavar="RECIPE", help="A recipe, a TOML file.")]
Task = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="A built-in task such as shorten, or a task file.")
]
Corpus = Annotated[
    list[Path] | None, typer.Option(metavar="PATH", help="Your own text: a file or a folder. Repeatable.")
]
Teacher = Annotated[
    str | None, typer.Option(metavar="MODEL", help="The model that makes the training pairs.")
]
Eval = Annotated[
    Path | None, typer.Option("--eval", metavar="FILE", help="JSONL with `input` and `summaries`.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="The run's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done and what it would cost.")]


def distill(
    recipe: RecipeFile = None,
    task: Task = None,
    corpus: Corpus = None,
    teacher: Teacher = None,
    eval_: Eval = None,
    out: Out = None,
    dry_run: DryRun = False,
    set_: Set = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Make a small model that does one task, without labelled data.

    Give a RECIPE, or a --task and, if you like, a --corpus. A run that was stopped goes on where it was:
    run the same command again, or `potstill run resume`.
    """
    from potstill.cli.configuration import load_configuration
    from potstill.cli.running import run_recipe, show_plan

    if recipe is None and task is None:
        raise typer.BadParameter("give a RECIPE or a --task.")
    user = load_configuration().settings
    flags = _flags(task=task, teacher=teacher, device=device, threads=threads, eval_file=eval_, corpus=corpus)
    wanted = _recipe(recipe, task, [*flags, *(set_ or [])])
    if out is not None:
        # Not by way of TOML, which cannot hold every folder's name.
        wanted = replace(wanted, run=replace(wanted.run, out=out))
    if dry_run:
        show_plan(wanted, user, as_json=json_, quiet=quiet)
    else:
        run_recipe(wanted, user, as_json=json_, quiet=quiet)


def _recipe(path: Path | None, task: str | None, overrides: Sequence[str]) -> "Recipe":
    from potstill.runs.recipe import read_recipe, recipe_from

    if path is not None:
        return read_recipe(path, overrides)
    assert task is not None
    return recipe_from({"run": {"name": Path(task).stem}}, overrides)


def _flags(
    *,
    task: str | None,
    teacher: str | None,
    device: str | None,
    threads: int | None,
    eval_file: Path | None,
    corpus: list[Path] | None,
) -> list[str]:
    """The options as overrides, so that there is one way from a value to the recipe."""
    from potstill.runs.recipe import override

    values: dict[str, object] = {
        "task.name": task,
        "model.teacher": teacher,
        "run.device": device,
        "run.threads": threads,
        "evaluation.file": eval_file,
        "corpus.paths": corpus or None,
    }
    return [override(key, value) for key, value in values.items() if value is not None]
