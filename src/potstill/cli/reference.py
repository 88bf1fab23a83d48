"""docs/cli.md, made from the commands themselves: `python -m potstill.cli.reference > docs/cli.md`."""

from collections.abc import Iterator
from typing import Any

import typer

from potstill.cli.app import app

_WIDTH = 100
_PREFACE = """\
# Commands

Made by `python -m potstill.cli.reference`; do not edit. Results go to stdout, progress and messages
to stderr. With `--json` a command prints one object with a `schema`, errors too; exit codes are in
[errors](errors.md).
"""


def reference() -> str:
    return "\n".join([_PREFACE, *_sections(typer.main.get_command(app), "potstill")])


def _sections(command: Any, path: str) -> Iterator[str]:
    context = typer.Context(command, info_name=path, terminal_width=_WIDTH, max_content_width=_WIDTH)
    yield f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _sections(inner, f"{path} {name}")


if __name__ == "__main__":
    print(reference(), end="")
