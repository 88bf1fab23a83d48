"""Which files a corpus is made of: files, folders and patterns, in an order the disk has no part in."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from potstill.errors import MissingError
from potstill.records.formats import format_of, require_format


class CorpusFiles(NamedTuple):
    """`files` are read in this order, each once; `left_out` lie in the folders but no reader takes them."""

    files: tuple[Path, ...]
    left_out: tuple[Path, ...]


def find_files(paths: Sequence[Path]) -> CorpusFiles:
    """The files that `paths` name, folder contents and matches sorted by name.

    A path is a file, a folder (searched to any depth; names that begin with a dot are passed over), or a
    pattern with `*`, `?`, `[` or `**`. A file named directly must have a reader; UsageError if not.
    MissingError if a path names nothing, or a folder holds nothing that can be read.
    """
    files: list[Path] = []
    left_out: list[Path] = []
    for path in paths:
        for found in expand(path):
            _add(found, files, left_out)
    return CorpusFiles(_each_once(files), _each_once(left_out))


def expand(path: Path) -> list[Path]:
    """The path itself, or what matches it as a pattern, sorted; MissingError where that is nothing."""
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise MissingError(f"{path} does not exist. Check the spelling.")
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    if not matches:
        raise MissingError(f"No file matches {path}.")
    return matches


def _add(path: Path, files: list[Path], left_out: list[Path]) -> None:
    if not path.is_dir():
        require_format(path)
        files.append(path)
        return
    num_before = len(files)
    for file in _walk(path):
        (left_out if format_of(file) is None else files).append(file)
    if len(files) == num_before:
        raise MissingError(
            f"{path} holds no text that can be read (.txt, .md, .jsonl, .csv, .parquet, or packed)."
        )


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        # Changing the list in place tells os.walk where to go, and in which order.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in sorted(names) if not name.startswith("."))


def _each_once(paths: Iterable[Path]) -> tuple[Path, ...]:
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.resolve(), path)
    return tuple(first.values())
