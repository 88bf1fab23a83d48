"""What a task is: its instruction, a few examples of our own, and what counts as a good output.

A task is a TOML file. The built-in ones lie in `builtin/`; a user's file has the same tables (docs/tasks.md).
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from potstill.errors import ConfigError
from potstill.settings import from_table
from potstill.types import TextPair


@dataclass(frozen=True, slots=True)
class Shot:
    """One demonstration in the few-shot prompt."""

    source: str
    target_text: str

    def __post_init__(self) -> None:
        # A prompt is read line by line: a text of two lines would end, or begin, another demonstration.
        for name, text in (("source", self.source), ("target_text", self.target_text)):
            if not text.strip() or "\n" in text:
                raise ConfigError(f"[[shots]] {name} is {text[:40]!r}; it must be one line of text.")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pair must meet whatever the model thinks of it.

    min_length_ratio  words of the target over words of the source, >= 0
    max_length_ratio  the same, from above
    min_words         words a target has at least, >= 1
    max_copy          ROUGE-L F1 of the target with the source at most, in [0, 1]; 1 allows copies
    max_copied_run    words in a row taken from the start of the source, as a share of the target, in [0, 1]
    """

    min_length_ratio: float = 0.15
    max_length_ratio: float = 0.8
    min_words: int = 3
    max_copy: float = 1.0
    max_copied_run: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_length_ratio < self.max_length_ratio:
            raise ConfigError(
                f"[limits] min_length_ratio is {self.min_length_ratio} and max_length_ratio is "
                f"{self.max_length_ratio}; the first must be smaller and not negative."
            )
        if self.min_words < 1:
            raise ConfigError(f"[limits] min_words is {self.min_words}; it must be at least 1.")
        for name in ("max_copy", "max_copied_run"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"[limits] {name} is {getattr(self, name)}; it must be in [0, 1].")


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction with its demonstrations and limits.

    name            a short word
    entails         `one_way`: the target says nothing the source does not; `two_way`: and the reverse
    instruction     the first line of the few-shot prompt
    source_label    what stands before a source in prompts
    target_label    what stands before a target in prompts
    limits          see Limits
    shots           demonstrations of the project's (or the user's) own making
    """

    name: str
    entails: Literal["one_way", "two_way"]
    instruction: str
    source_label: str
    target_label: str
    limits: Limits
    shots: tuple[Shot, ...]

    def __post_init__(self) -> None:
        if not self.shots:
            raise ConfigError(
                f"The task {self.name} has no [[shots]]; few-shot prompting needs at least one."
            )
        if not self.instruction.strip():
            raise ConfigError(f"The task {self.name} has an empty instruction.")
        for label in (self.source_label, self.target_label):
            if not label.strip() or "\n" in label:
                raise ConfigError(f"The task {self.name} has an empty or many-line label {label!r}.")

    @property
    def student_template(self) -> str:
        """The student's prompt; {source} is where the text goes."""
        return f"{self.source_label} {{source}}\n{self.target_label}"

    def student_prompt(self, source: str) -> str:
        return self.student_template.replace("{source}", source)

    def plain_prompt(self, source: str) -> str:
        """The instruction and the source, without demonstrations."""
        return f"{self.instruction}\n\n{self.student_prompt(source)}"

    def few_shot_prefix(self, shots: tuple[Shot, ...]) -> str:
        """What all few-shot prompts over the same shots begin with; the engine computes it once."""
        blocks = [f"{self.student_prompt(shot.source)} {shot.target_text}" for shot in shots]
        return "\n\n".join([self.instruction, *blocks]) + "\n\n"

    def few_shot_prompt(self, shots: tuple[Shot, ...], source: str) -> str:
        return self.few_shot_prefix(shots) + self.student_prompt(source)

    def shot_pairs(self) -> list[TextPair]:
        return [TextPair(shot.source, shot.target_text) for shot in self.shots]


def builtin_task_names() -> list[str]:
    folder = files("potstill.tasks") / "builtin"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_task(name_or_path: str) -> Task:
    """A built-in task by name, or a task file; ConfigError says which names exist."""
    if name_or_path in builtin_task_names():
        text = (files("potstill.tasks") / "builtin" / f"{name_or_path}.toml").read_text("utf-8")
        return _parse(text, f"the built-in task {name_or_path}")
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigError(
            f"There is no task {name_or_path}: it is neither a file nor one of "
            f"{', '.join(builtin_task_names())}."
        )
    try:
        return _parse(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None


def _parse(text: str, where: str) -> Task:
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}.") from None
    return from_table(Task, table, where)
