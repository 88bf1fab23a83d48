"""`potstill run`: look at runs, go on with them, remove them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.options import Device, Json, Quiet, Threads, Yes

if TYPE_CHECKING:
    from potstill.runs.ledger import Ledger

app = typer.Typer(help="Look at runs, go on with them, remove them.", no_args_is_help=True)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name.")]


@app.command("list")
def list_runs(json_: Json = False) -> None:
    """List the runs in the folder for runs."""
    from dataclasses import asdict

    from potstill.cli.configuration import load_configuration
    from potstill.cli.output import format_bytes, print_json, print_table, say
    from potstill.progress import format_duration
    from potstill.runs.folder import run_folders, summarize

    folder = load_configuration().settings.paths.runs
    runs = [summarize(each) for each in run_folders(folder)]
    if json_:
        print_json(
            "potstill.run-list/1", {"runs": [{**asdict(run), "folder": str(run.folder)} for run in runs]}
        )
    elif not runs:
        say(f"There are no runs in {folder}. Make one: potstill distill --task shorten")
    else:
        columns = ("run", "state", "started", "worked", "memory", "disk")
        rows = [
            (
                run.name,
                run.outcome,
                (run.started or "")[:16].replace("T", " "),
                format_duration(run.seconds),
                format_bytes(run.peak_bytes),
                format_bytes(run.disk_bytes),
            )
            for run in runs
        ]
        print_table(columns, rows, right=columns[3:])


@app.command()
def show(run: Run, json_: Json = False) -> None:
    """Show a run's stages, figures and events."""
    from potstill.cli.output import print_json, print_table
    from potstill.runs.execute import LEDGER_NAME
    from potstill.runs.ledger import Ledger

    folder = _find(run)
    with Ledger.read(folder / LEDGER_NAME) as ledger:
        told = _told(ledger)
    if json_:
        print_json("potstill.run-show/1", {"run": str(folder), **told})
        return
    print_table(
        ("stage", "state", "started", "took", "memory"), _stage_rows(told["stages"]), right=("took", "memory")
    )
    figures = [
        (stage, name, value)
        for stage, values in told["figures"].items()
        for name, value in values.items()
        if isinstance(value, bool | int | float | str)
    ]
    if figures:
        print()
        print_table(("stage", "figure", "value"), figures, right=("value",))
    if told["events"]:
        print()
        print_table(("when", "event", "message"), [tuple(event.values()) for event in told["events"]])


@app.command()
def resume(
    run: Run,
    redo: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Throw this stage's output away and make it again.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Go on with a run that was stopped; it ends in the same bytes as if it had not been."""
    from dataclasses import replace

    from potstill.cli.configuration import load_configuration
    from potstill.cli.running import run_recipe
    from potstill.errors import MissingError
    from potstill.runs.execute import RECIPE_NAME
    from potstill.runs.recipe import read_recipe

    folder = _find(run)
    if not (folder / RECIPE_NAME).is_file():
        raise MissingError(
            f"{folder} has lost its {RECIPE_NAME}. "
            f"Name the recipe again: potstill distill RECIPE --out {folder}"
        )
    recipe = read_recipe(folder / RECIPE_NAME)
    settings = recipe.run
    recipe = replace(
        recipe,
        run=replace(
            settings, out=folder, device=device or settings.device, threads=threads or settings.threads
        ),
    )
    run_recipe(recipe, load_configuration().settings, as_json=json_, quiet=quiet, redo=redo)


@app.command()
def report(
    run: Run,
    open_: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
    json_: Json = False,
) -> None:
    """Print where a run's report is."""
    from potstill.cli.output import print_json, printable
    from potstill.errors import MissingError

    folder = _find(run)
    path = folder / "report.html"
    if not path.is_file():
        raise MissingError(f"{folder} has no report yet. Finish it: potstill run resume {folder}")
    if open_:
        typer.launch(path.resolve().as_uri())
    if json_:
        print_json("potstill.run-report/1", {"run": str(folder), "report": str(path)})
    else:
        print(printable(path))


@app.command()
def remove(run: Run, yes: Yes = False, json_: Json = False) -> None:
    """Delete a run with everything it made."""
    import sys

    from potstill.cli.output import format_bytes, print_json, printable, say
    from potstill.errors import UsageError
    from potstill.runs.folder import disk_bytes, remove_run

    folder = _find(run)
    size = disk_bytes(folder)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"Removing {folder} cannot be undone. Say so with --yes.")
        typer.confirm(
            f"Delete {printable(folder)} ({format_bytes(size)})? It cannot be undone", abort=True, err=True
        )
    remove_run(folder)
    if json_:
        print_json("potstill.run-remove/1", {"run": str(folder), "freed_bytes": size})
    else:
        say(f"Removed {folder} ({format_bytes(size)}).")


def _stage_rows(stages: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    from potstill.cli.output import format_bytes
    from potstill.progress import format_duration

    return [
        (
            stage["name"],
            stage["outcome"],
            stage["started"][:19].replace("T", " "),
            "" if stage["seconds"] is None else format_duration(stage["seconds"]),
            format_bytes(stage["peak_bytes"]),
        )
        for stage in stages
    ]


def _told(ledger: "Ledger") -> dict[str, Any]:
    from dataclasses import asdict

    stages = ledger.stages()
    latest = {stage.name: stage.fingerprint for stage in stages}
    return {
        "runs": [asdict(record) for record in ledger.runs()],
        "stages": [asdict(stage) for stage in stages],
        "figures": {name: ledger.figures(fingerprint) for name, fingerprint in latest.items()},
        "events": [asdict(event) for event in ledger.events()],
    }


def _find(run: str) -> Path:
    from potstill.cli.configuration import load_configuration
    from potstill.runs.folder import find_run

    return find_run(run, load_configuration().settings.paths.runs)
