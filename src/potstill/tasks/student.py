"""`potstill.json`: what a student was trained for, kept in its folder beside the weights.

The field `prompt_template` holds `{source}` where the text goes; nothing else in it is special.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.errors import ConfigError, DamagedError
from potstill.files import read_json, write_json
from potstill.settings import from_table, to_table
from potstill.types import SamplingParams

NAME = "potstill.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentCard:
    """How a student is asked.

    task             the task's name
    prompt_template  the prompt, with {source} once
    sampling         fields of SamplingParams that differ from its defaults
    """

    task: str
    prompt_template: str
    sampling: SamplingParams = field(default_factory=SamplingParams)

    def __post_init__(self) -> None:
        if self.prompt_template.count("{source}") != 1:
            raise ConfigError("prompt_template must hold {source} exactly once.")

    def prompt(self, source: str) -> str:
        return self.prompt_template.replace("{source}", source)


def write_card(folder: Path, card: StudentCard) -> None:
    write_json(folder / NAME, {"format": _FORMAT, **to_table(card)})


def read_card(folder: Path) -> StudentCard | None:
    """The card of the model in `folder`, or None for a model that is no student."""
    path = folder / NAME
    if not path.is_file():
        return None
    content: Mapping[str, Any] = read_json(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise DamagedError(f"{path} is not of format {_FORMAT}, the one this potstill reads.")
    try:
        return from_table(StudentCard, {key: value for key, value in content.items() if key != "format"})
    except ConfigError as error:
        raise DamagedError(f"{path}: {error}") from None
