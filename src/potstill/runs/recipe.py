"""A recipe: everything a run is made from, as one TOML file.

Paths in a recipe are relative to its file, so it works from any folder; those given on the command line are
relative to the current folder.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

from potstill.devices import MAX_THREADS
from potstill.errors import ConfigError, MissingError
from potstill.evaluation.settings import EvaluationSettings
from potstill.runs.toml import toml_text, toml_value
from potstill.settings import field_types, from_table, to_table
from potstill.synthesis.settings import SynthesisSettings
from potstill.training.settings import TrainingSettings
from potstill.types import DtypeName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Where the run is kept and how it works; only `seed` changes what comes out.

    name     letters, digits, `.`, `_` and `-`; at most 100
    seed     in [0, 2^63)
    out      the run's folder; left out: a folder called `name` in the folder for runs
    device   `cpu`, `cuda` or `cuda:N`; left out: the best one there is
    threads  CPU threads, in [1, 1024]; left out: one for each core
    """

    name: str
    seed: int = 0
    out: Path | None = None
    device: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"name is {self.name!r}; it must be at most 100 letters, digits, `.`, `_` and `-`, "
                f"and begin with a letter or digit."
            )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed}; it must be in [0, 2^63).")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads is {self.threads}; it must be in [1, {MAX_THREADS}].")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which models the run works with: a folder, a GGUF file, a hub id or the embedded `gemma-3-270m`.

    teacher  the model that makes the pairs
    student  the model that is trained; left out: the teacher
    dtype    how weights are kept where models write and judge: `auto` is the faster of `bf16` and `fp32`;
             `int8` is faster still on a CPU and not quite the same model
    """

    teacher: str = "gemma-3-270m"
    student: str | None = None
    dtype: DtypeName = "auto"

    def __post_init__(self) -> None:
        if not self.teacher or self.student == "":
            raise ConfigError("a model is called by an empty text; name one or leave the key out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """What the student learns.

    name  a built-in task, such as `shorten` or `paraphrase`, or a task file
    """

    name: str = "shorten"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """The user's own text; without it the teacher writes the sentences.

    paths          files, folders and patterns with `*`
    field          the key that holds the text in JSONL, Parquet and CSV; left out: `text`
    max_sentences  sentences drawn at most, >= 1; left out: as many as the run needs
    """

    paths: tuple[Path, ...] = ()
    field: str | None = None
    max_sentences: int | None = None

    def __post_init__(self) -> None:
        if self.max_sentences is not None and self.max_sentences < 1:
            raise ConfigError(f"max_sentences is {self.max_sentences}; it must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything a run is made from.

    run         where it is kept and how it works
    model       the teacher and the student
    task        what the student learns
    corpus      the user's own text
    synthesis   how pairs are made and which are kept
    training    how the student is trained
    evaluation  how base and student are compared
    """

    run: RunSettings
    model: ModelSettings = field(default_factory=ModelSettings)
    task: TaskChoice = field(default_factory=TaskChoice)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self) -> None:
        training = self.training
        if training.evaluate_every is not None and not training.validation_share:
            raise ConfigError(
                f"[training] evaluate_every is {training.evaluate_every}, but a run evaluates the training "
                f"by its validation loss alone. Set validation_share, such as 0.05, or leave it out."
            )


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at `path`, with `table.key=value` overrides laid over it."""
    table = read_recipe_table(path)
    table.setdefault("run", {}).setdefault("name", path.stem)
    return recipe_from(table, overrides, str(path))


def read_recipe_table(path: Path) -> dict[str, Any]:
    """The file's table with its paths made absolute; ConfigError names the line of a syntax error."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise MissingError(f"There is no recipe {path}. Check the spelling.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; a recipe is a TOML file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    if not isinstance(table.get("run", {}), dict):
        raise ConfigError(f"{path}: run is {table['run']!r}; it must be a table.")
    return _anchored(table, path.absolute().parent)


def recipe_from(table: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "") -> Recipe:
    """A recipe from a table and overrides, which win."""
    changes: dict[str, Any] = {}
    for override in overrides:
        _set(changes, override)
    return from_table(Recipe, _merged(table, _anchored(changes, Path.cwd())), where)


def recipe_text(recipe: Recipe) -> str:
    """The recipe as TOML with every value written out, so that later defaults do not change it.

    `out` is left out: the run's folder may move.
    """
    table = to_table(replace(recipe, run=replace(recipe.run, out=None)))
    return toml_text(table)


def run_folder_of(recipe: Recipe, runs_folder: Path) -> Path:
    return recipe.run.out or runs_folder / recipe.run.name


def parse_override(override: str) -> tuple[list[str], Any]:
    """The keys and the value of `table.key=value`; a value that is no TOML is taken as text."""
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        raise ConfigError(f"--set {override!r} is not of the form table.key=value.")
    try:
        return keys, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return keys, text


def override(key: str, value: object) -> str:
    """`table.key=value` for a value from the command line."""
    if isinstance(value, list | tuple):
        return f"{key}={toml_value([str(item) for item in value])}"
    return f"{key}={toml_value(str(value) if isinstance(value, Path) else value)}"


def _set(changes: dict[str, Any], override: str) -> None:
    keys, value = parse_override(override)
    table = changes
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r} goes below {key}, which is a value.")
    table[keys[-1]] = value


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        both = isinstance(value, dict) and isinstance(lower, dict)
        result[key] = _merged(lower, value) if both else value  # type: ignore[arg-type]
    return result


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with relative paths made absolute from `folder`.

    The name of a model or task is a path only where something is there.
    """
    result = _anchored_paths(Recipe, table, folder)
    for table_name, key in (("model", "teacher"), ("model", "student"), ("task", "name")):
        inner = result.get(table_name)
        if isinstance(inner, dict) and isinstance(inner.get(key), str):
            inner[key] = _if_there(folder, inner[key])
    return result


def _anchored_paths(cls: type, table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    result, kinds = dict(table), field_types(cls)
    for key, value in table.items():
        kind = kinds.get(key)
        if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
            result[key] = _anchored_paths(kind, value, folder)
        elif kind is Path or Path in get_args(kind):
            if isinstance(value, str):
                result[key] = str(folder / value)
            elif isinstance(value, list):
                result[key] = [str(folder / item) if isinstance(item, str) else item for item in value]
    return result


def _if_there(folder: Path, name: str) -> str:
    path = folder / name
    return str(path) if name and path.exists() else name
