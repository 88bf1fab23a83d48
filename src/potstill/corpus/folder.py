"""The folder of a corpus while it is built: nothing is seen of a corpus before all of it is on the disk."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.corpus.checksums import CHECKSUMS_FILE
from potstill.corpus.manifest import CORPUS_FILE, DOCUMENTS, OFFSETS, SOURCES, TOKENS, VOCABULARY_FOLDER
from potstill.errors import UsageError
from potstill.files import sync_folder
from potstill.locks import locked

# What deduplication left out, and why.
DROPPED_FILE = "dropped.jsonl"
_BUILDING = ".building"
_OURS = (TOKENS, DOCUMENTS, OFFSETS, SOURCES, CHECKSUMS_FILE, VOCABULARY_FOLDER, DROPPED_FILE, _BUILDING)


@contextmanager
def building_corpus(out: Path) -> Iterator[Path]:
    """An empty folder whose files become the corpus `out` when the block ends without an exception.

    corpus.json comes last, so a reader finds all or nothing. UsageError where `out` holds a corpus or
    anything else, LockedError while another process builds there. What an unfinished build left is removed.
    """
    _check_free(out)
    with locked(out):
        _check_free(out)
        for name in _OURS:
            _remove(out / name)
        building = out / _BUILDING
        building.mkdir()
        try:
            yield building
            _move(building, out)
        finally:
            _remove(building)


def _check_free(out: Path) -> None:
    if (out / CORPUS_FILE).exists():
        raise UsageError(f"{out} holds a corpus already. Name another folder, or remove it first.")
    others = sorted({path.name for path in out.iterdir()} - {*_OURS, ".lock"}) if out.is_dir() else []
    if others:
        raise UsageError(f"{out} is not empty (it holds {others[0]!r}). Name a new folder.")


def _move(building: Path, out: Path) -> None:
    names = sorted(path.name for path in building.iterdir() if path.name != CORPUS_FILE)
    for name in names:
        os.replace(building / name, out / name)
    sync_folder(out)
    os.replace(building / CORPUS_FILE, out / CORPUS_FILE)
    sync_folder(out)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
