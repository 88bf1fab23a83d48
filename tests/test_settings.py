from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from potstill.errors import ConfigError
from potstill.settings import descriptions, from_table, schema, to_table


@dataclass(frozen=True)
class Inner:
    """How it learns.

    method         what is trained
    learning_rate  > 0, a step's size
                   at the start
    """

    method: Literal["full", "lora"] = "full"
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must be > 0.")


@dataclass(frozen=True)
class Outer:
    name: str
    paths: tuple[Path, ...] = ()
    limit: int | None = None
    size: int | Literal["auto"] = "auto"
    training: Inner = field(default_factory=Inner)
    thresholds: dict[str, float] = field(default_factory=dict)
    quick: bool = False


def test_a_table_becomes_settings_and_goes_back() -> None:
    table: dict[str, Any] = {
        "name": "a",
        "paths": ["x", "y"],
        "limit": 3,
        "size": "auto",
        "training": {"method": "lora", "learning_rate": 1},
        "thresholds": {"copy": 0.5},
        "quick": True,
    }
    settings = from_table(Outer, table)
    assert settings.paths == (Path("x"), Path("y"))
    assert settings.training == Inner("lora", 1.0)
    assert from_table(Outer, to_table(settings)) == settings
    assert to_table(Outer("b"))["limit"] is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "a", "trainin": {}}, "the top level has no 'trainin'; did you mean 'training'?"),
        ({"name": "a", "training": {"learning_rat": 1}}, r"\[training\] has no 'learning_rat'; did you mean"),
        ({"name": "a", "training": {"zzz": 1}}, r"\[training\] has no 'zzz'; it has method, learning_rate"),
        ({}, "needs name"),
        ({"name": 3}, "name is 3; it must be a text in quotes"),
        ({"name": "a", "limit": True}, "limit is true; it must be a whole number"),
        ({"name": "a", "limit": 1.5}, "limit is 1.5; it must be a whole number"),
        ({"name": "a", "quick": 1}, "quick is 1; it must be true or false"),
        ({"name": "a", "paths": "x"}, "paths is 'x'; it must be a list"),
        ({"name": "a", "paths": [1]}, r"paths\[0\] is 1; it must be a path"),
        ({"name": "a", "size": "large"}, "size is 'large'; it must be a whole number or one of 'auto'"),
        ({"name": "a", "training": 1}, "training is 1; it must be a table"),
        ({"name": "a", "training": {"method": "lorra"}}, "training.method is 'lorra'.*Did you mean 'lora'"),
        ({"name": "a", "training": {"learning_rate": -1}}, r"\[training\] learning_rate is -1.0"),
        ({"name": "a", "thresholds": {"copy": "x"}}, "thresholds.copy is 'x'; it must be a number"),
    ],
)
def test_a_wrong_table_is_refused_by_table_key_and_nearest_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_table(Outer, table)
    with pytest.raises(ConfigError, match=f"^x.toml: .*{message}"):
        from_table(Outer, table, "x.toml")


def test_descriptions_come_from_the_docstring_with_continued_lines() -> None:
    assert descriptions(Inner) == {
        "method": "what is trained",
        "learning_rate": "> 0, a step's size at the start",
    }


def test_the_schema_names_types_defaults_and_requirements() -> None:
    told = schema(Outer)
    assert told["required"] == ["name"]
    assert told["properties"]["limit"] == {"type": "integer"}
    inner = told["properties"]["training"]
    assert inner["properties"]["method"]["enum"] == ["full", "lora"]
    assert inner["properties"]["learning_rate"] == {
        "type": "number",
        "description": "> 0, a step's size at the start",
        "default": 1e-4,
    }
