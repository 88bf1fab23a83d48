"""Which segments an index consists of. Replacing `manifest.json` is the one step that commits a change.

A manifest names its segments and its vocabulary; whatever it does not name is no part of the index.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import ConfigError, DamagedError, MissingError, UsageError
from potstill.locks import locked
from potstill.settings import from_table, to_table

SCHEMA = "potstill.index/1"
NAME, SHARDS_NAME = "manifest.json", "shards.json"
SEGMENTS, VOCABULARIES, BUILDING = "segments", "vocabulary", ".building"
_SEGMENT_NAME = re.compile(r"\d{6,}-[0-9a-f]{8}")
_Content = TypeVar("_Content")


@dataclass(frozen=True)
class SegmentEntry:
    """A segment as the manifest names it; `sign` is -1 where its documents are deleted ones."""

    name: str
    sign: Literal[1, -1]
    sha256: str
    num_documents: int
    num_tokens: int

    def __post_init__(self) -> None:
        # The name becomes part of a path.
        if not _SEGMENT_NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name[:40]!r} is no name of a segment.")
        if min(self.num_documents, self.num_tokens) < 0:
            raise ConfigError(f"segment {self.name} has a negative count.")


@dataclass(frozen=True)
class Manifest:
    """What an index is.

    generation     1 for the first build, one more with every change
    segments       in the order of the documents
    made_by        fingerprint of the work whose commit made these segments
    interpolation  the λ of the index as a language model with the text they were tuned on, or None
    """

    generation: int
    segments: tuple[SegmentEntry, ...]
    vocabulary: VocabularyFacts
    made_by: str = ""
    interpolation: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.segments]
        if self.generation < 1 or len(set(names)) != len(names):
            raise ConfigError("the generation is below 1 or a segment is named twice.")

    @property
    def positive(self) -> tuple[SegmentEntry, ...]:
        return tuple(entry for entry in self.segments if entry.sign == 1)

    @property
    def num_documents(self) -> int:
        """Live documents: those of the positive segments without the deleted ones."""
        return sum(entry.sign * entry.num_documents for entry in self.segments)

    @property
    def num_tokens(self) -> int:
        return sum(entry.sign * entry.num_tokens for entry in self.segments)


def read_manifest(index: Path) -> Manifest:
    """MissingError if the folder is no index, DamagedError if the manifest is altered or newer."""
    path = index / NAME
    if (index / SHARDS_NAME).is_file():
        raise UsageError(
            f"{index} is in shards, which are not changed once they are built. Build it again instead."
        )
    if not path.is_file():
        raise MissingError(
            f"{index} is no index (it has no {NAME}). Make one: potstill index build SOURCE --out {index}"
        )
    content = dict(read_sealed(path, SCHEMA))
    interpolation = content.pop("interpolation", None)
    manifest = read_content(_Stored, content, path)
    if not isinstance(interpolation, dict | None):
        raise DamagedError(f"{path}: interpolation is no table. Tune it again.")
    return Manifest(
        manifest.generation, manifest.segments, manifest.vocabulary, manifest.made_by, interpolation
    )


def write_manifest(index: Path, manifest: Manifest) -> None:
    """The commit: a reader sees the manifest before or this one."""
    stored = _Stored(manifest.generation, manifest.segments, manifest.vocabulary, manifest.made_by)
    interpolation = None if manifest.interpolation is None else dict(manifest.interpolation)
    write_sealed(index / NAME, SCHEMA, {**to_table(stored), "interpolation": interpolation})


def set_interpolation(index: Path, table: Mapping[str, Any] | None) -> None:
    """Keep the λ of the index as a language model beside it: a new generation of the same segments.

    `table` holds plain values. Raises LockedError while another process changes the index.
    """
    with locked(require_index(index)):
        manifest = read_manifest(index)
        write_manifest(index, replace(manifest, generation=manifest.generation + 1, interpolation=table))


def require_index(index: Path) -> Path:
    """The folder, which is an index; asked before locking, so that no folder is made by a misspelt name."""
    if not (index / NAME).is_file():
        read_manifest(index)
    return index


def read_content(cls: type[_Content], content: Mapping[str, Any], path: Path) -> _Content:
    """A `cls` from the content of a sealed file; DamagedError where it does not keep the form."""
    try:
        return from_table(cls, content)
    except ConfigError as error:
        raise DamagedError(f"{path}: {error} It was not written by this version; make it again.") from None


@dataclass(frozen=True)
class _Stored:
    """The part of a manifest whose form is known here."""

    generation: int
    segments: tuple[SegmentEntry, ...]
    vocabulary: VocabularyFacts
    made_by: str = ""

    def __post_init__(self) -> None:
        Manifest(self.generation, self.segments, self.vocabulary, self.made_by)
