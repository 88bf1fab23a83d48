"""docs/tasks.md says what the code does: every field, every default, and a real example."""

import re
import tomllib
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pytest

from potstill.settings import from_table
from potstill.tasks.task import Limits, Shot, Task

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")


def section(title: str) -> str:
    (found,) = [part for part in PAGE.split("\n## ") if part.startswith(title)]
    return found


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("title", "cls"), [("The task itself", Task), ("`[limits]`", Limits), ("`[[shots]]`", Shot)]
)
def test_every_field_has_its_row_in_order(title: str, cls: type) -> None:
    assert [row[0].strip("`") for row in rows(title)] == [field.name for field in fields(cls)]


def test_the_defaults_of_the_limits_are_those_of_the_code() -> None:
    told = {row[0].strip("`"): float(row[1]) for row in rows("`[limits]`")}
    assert told == {field.name: field.default for field in fields(Limits)}


def test_the_example_is_a_part_of_the_built_in_task() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    shown = from_table(Task, tomllib.loads(example), "the page")
    real = from_table(
        Task,
        tomllib.loads((files("potstill.tasks") / "builtin" / "shorten.toml").read_text("utf-8")),
        "shorten",
    )
    assert set(shown.shots) < set(real.shots)
    named = ("name", "entails", "instruction", "source_label", "target_label", "limits")
    assert [getattr(shown, name) for name in named] == [getattr(real, name) for name in named]
