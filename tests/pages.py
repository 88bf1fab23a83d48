"""The project's Markdown as the tests of documents read it: links, code, commands, tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import typer

from potstill.cli.app import app
from source_tree import ROOT

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_ABROAD = ("http://", "https://", "mailto:")


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def blocks(self) -> list[Block]:
        return [Block(language, text) for language, text in _FENCE.findall(self.text)]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def spans(self) -> list[str]:
        """What stands between backticks in the prose; the text of a link is not looked at twice."""
        return _SPAN.findall(_LINK.sub("", self.prose))

    @property
    def links(self) -> list[str]:
        """Targets inside the repository, as they are written."""
        return [link for link in _LINK.findall(self.prose) if not link.startswith(_ABROAD)]

    @property
    def anchors(self) -> set[str]:
        """What a link may name after `#`, as repository hosts make it from headings."""
        kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.replace(" ", "-") for heading in kept}

    def rows(self, columns: int) -> Iterator[list[str]]:
        """The rows of every table with so many columns, heads left out."""
        lines = self.prose.splitlines()
        for number, line in enumerate(lines):
            if not line.startswith("|") or set(line) <= set("|-: "):
                continue
            is_head = number + 1 < len(lines) and lines[number + 1].startswith("|-")
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            if len(cells) == columns and not is_head:
                yield cells

    def commands(self, program: str) -> Iterator[list[str]]:
        """The words after `program` wherever a line of a block or a span in the prose calls it."""
        lines = [line for block in self.blocks for line in block.text.replace("\\\n", " ").splitlines()]
        for line in [*lines, *self.spans]:
            found = re.match(rf"(?:\$ +)?(?:\S+=\S+ +)*(?:\.venv/bin/)?{program}(?: +(.*))?$", line.strip())
            if found:
                yield shlex.split(found[1] or "", comments=True)


def all_pages() -> list[Page]:
    folders = (ROOT / name for name in ("docs", "benchmarks", "recipes", "native", "tests", "src"))
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return [Page(path) for path in sorted(paths)]


def command_problem(words: list[str]) -> str | None:
    """What `potstill` would not know of these words: a command, or an option; values are not looked at."""
    command: Any = typer.main.get_command(app)
    known = _options(command)
    for word in words:
        if word.startswith("-"):
            if word.partition("=")[0] not in known | {"--help"}:
                return f"there is no option {word}"
        elif inner := getattr(command, "commands", None):
            if word not in inner:
                return f"there is no command {word}"
            command = inner[word]
            known = _options(command)
    return None


def _options(command: Any) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
