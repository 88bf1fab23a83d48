"""What commands print: results on stdout, everything else on stderr, nothing that steers a terminal.

On a terminal tables are drawn by rich; anywhere else they are plain lines.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Marks that turn the reading direction, so that a line shows something else than it says.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STRAY = re.compile("[\ud800-\udfff]")
_STEERS = ("Cc", "Zl", "Zp", "Cs")


def printable(text: object) -> str:
    """`text` with everything that could move a cursor or turn the reading direction written as an escape."""
    return "".join(_escape(character) if _steers(character) else character for character in str(text))


def print_json(schema: str, content: Mapping[str, Any]) -> None:
    """One object on stdout; `schema` names its form and version."""
    told = {"schema": schema, **content}
    text = json.dumps(told, ensure_ascii=not _prints_unicode(), indent=1)
    if _STRAY.search(text):
        # A path that is not UTF-8 cannot be printed as it is.
        text = json.dumps(told, indent=1)
    print(text)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """A table on stdout; the columns named in `right` are numbers and stand to the right."""
    cells = [[printable(cell).replace("\n", " ").replace("\t", " ") for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, cells, right)
    else:
        _print_plain(columns, cells, right)


def say(text: str) -> None:
    """A line on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def show_error(message: str, kind: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        print_json("potstill.error/1", {"error": {"type": kind, "message": message, "exit_code": exit_code}})
    else:
        # One line, also of a path that holds the end of one.
        say(f"potstill: {message}".replace("\n", "\\n"))


def format_bytes(num_bytes: float | None) -> str:
    """`512 B`, `12.3 MiB`; empty where it is not known."""
    if num_bytes is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(num_bytes) < 1024:
            return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} TiB"


def _steers(character: str) -> bool:
    return character not in "\n\t" and (character in _TURNS or unicodedata.category(character) in _STEERS)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _prints_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        # Text, not str: square brackets in the cells are no markup.
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(padded).rstrip())
