"""What the commands that ask an index share: which index, which queries."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from potstill.index.query import Query
    from potstill.index.reader import Index

IndexFolder = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder of an index.")]
Context = Annotated[str, typer.Argument(metavar="CONTEXT", help="What comes before.")]
File = Annotated[
    str | None, typer.Option(metavar="FILE", help="One TEXT a line from FILE, or from standard input: -.")
]
Ids = Annotated[bool, typer.Option("--ids", help="Every TEXT is token ids, such as `17 42`.")]
Tokens = Annotated[bool, typer.Option("--tokens", help="Show the tokens that were looked up.")]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="Show at most so many.")]
ContextTokens = Annotated[
    int, typer.Option("--context", metavar="TOKENS", min=0, max=100_000, help="Text to show on either side.")
]
Degraded = Annotated[
    bool, typer.Option("--degraded", help="Leave out segments that are damaged or missing, and say which.")
]


@contextmanager
def opened(path: Path, *, degraded: bool = False) -> Iterator["Index"]:
    """The index; what it answers without is told on stderr."""
    from potstill.cli.output import say
    from potstill.index.reader import Index

    with Index.open(path, degraded=degraded) as index:
        if index.left_out:
            say(f"potstill: answers are without {', '.join(index.left_out)}, which cannot be opened.")
        yield index


def one_query(text: str, *, as_ids: bool) -> "Query":
    """A text of the command line, or the ids that it names."""
    return _read_ids(text) if as_ids else text_query(text)


def text_query(text: str) -> str | bytes:
    """A text of the command line, as bytes where it is no Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def all_queries(texts: Sequence[str] | None, file: str | None, *, as_ids: bool) -> "list[Query]":
    """The texts of the command line, then the lines of `file`; UsageError if there is neither."""
    from potstill.errors import UsageError

    if not texts and file is None:
        raise UsageError("Nothing to look up: name a TEXT, or --file FILE with one a line.")
    queries = [one_query(text, as_ids=as_ids) for text in texts or ()]
    for line in _lines(file) if file is not None else ():
        queries.append(_read_ids(line.decode(errors="replace")) if as_ids else line)
    return queries


def shown(query: "Query") -> str:
    """A query as its user wrote it."""
    if isinstance(query, bytes):
        return query.decode(errors="backslashreplace")
    return query if isinstance(query, str) else " ".join(map(str, query))


def _read_ids(text: str) -> list[int]:
    from potstill.errors import UsageError

    try:
        # A sign passes, so that the range of the ids can be told.
        return [_checked_id(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"{text!r} is no list of token ids, such as `17 42`.") from None


def _checked_id(word: str) -> int:
    if not word.removeprefix("-").isdecimal():
        raise ValueError(word)
    return int(word)


def read_input(file: str) -> bytes:
    """What is in `file`, or what comes from standard input: `-`."""
    from potstill.errors import MissingError, UsageError

    if file == "-":
        # Closed, as a service without a terminal has it.
        if sys.stdin is None:
            raise UsageError("Standard input is closed, so there is nothing to read at `-`. Name a file.")
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except IsADirectoryError:
        raise MissingError(f"{file} is a folder. Name a file.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"There is no file {file}.") from None


def _lines(file: str) -> list[bytes]:
    content = read_input(file)
    return content.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n") if content else []
