"""An index in shards: folders that are indexes by themselves, each of a run of the documents.

`shards.json` names them with the SHA-256 of their manifests, and its atomic replacement is the commit; a
shard is not changed after it. Answers over all shards are those of one index of all documents.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import ConfigError, DamagedError, MissingError
from potstill.files import sha256_of
from potstill.index.manifest import NAME, SHARDS_NAME, Manifest, SegmentEntry, read_content
from potstill.index.open import OpenIndex, OpenSegment, open_generation
from potstill.settings import to_table

SCHEMA = "potstill.shards/1"
FOLDER = "shards"
_SHARD_NAME = re.compile(r"[0-9a-f]{8}-\d{3,}")


@dataclass(frozen=True)
class ShardEntry:
    """A shard: its folder under `shards/`, the SHA-256 of its manifest.json, and what it holds."""

    name: str
    sha256: str
    num_documents: int
    num_tokens: int

    def __post_init__(self) -> None:
        # The name becomes part of a path.
        if not is_shard_name(self.name):
            raise ConfigError(f"{self.name[:40]!r} is no name of a shard.")
        if min(self.num_documents, self.num_tokens) < 0:
            raise ConfigError(f"shard {self.name} has a negative count.")


@dataclass(frozen=True)
class Shards:
    """What an index in shards is.

    generation  1 for the first build, one more with every other
    shards      in the order of the documents
    made_by     fingerprint of the build
    """

    generation: int
    shards: tuple[ShardEntry, ...]
    vocabulary: VocabularyFacts
    made_by: str

    @property
    def num_documents(self) -> int:
        return sum(entry.num_documents for entry in self.shards)

    @property
    def num_tokens(self) -> int:
        return sum(entry.num_tokens for entry in self.shards)

    def __post_init__(self) -> None:
        names = {entry.name for entry in self.shards}
        if self.generation < 1 or not names or len(names) != len(self.shards):
            raise ConfigError("the generation is below 1, or shards are named twice or not at all.")


def is_shard_name(name: str) -> bool:
    return bool(_SHARD_NAME.fullmatch(name))


def is_sharded(index: Path) -> bool:
    return (index / SHARDS_NAME).is_file()


def read_shards(index: Path) -> Shards:
    """MissingError if the folder is no index in shards, DamagedError if the file is altered or newer."""
    path = index / SHARDS_NAME
    return read_content(Shards, read_sealed(path, SCHEMA), path)


def write_shards(index: Path, shards: Shards) -> None:
    """The commit: a reader sees the shards before or these."""
    write_sealed(index / SHARDS_NAME, SCHEMA, to_table(shards))


def shard_folder(index: Path, entry: ShardEntry) -> Path:
    return index / FOLDER / entry.name


def as_manifest(shards: Shards) -> Manifest:
    """That of an index whose segments are the shards."""
    entries = tuple(
        SegmentEntry(_segment_name(number, each.sha256), 1, each.sha256, each.num_documents, each.num_tokens)
        for number, each in enumerate(shards.shards, 1)
    )
    return Manifest(shards.generation, entries, shards.vocabulary, shards.made_by)


def open_any(index: Path, *, degraded: bool = False) -> OpenIndex:
    """Map an index, whole or in shards, in this process.

    What is missing or damaged is refused by name with MissingError or DamagedError; with `degraded` it is
    left out, and `left_out` says so. Documents are then numbered over what is open.
    """
    if not is_sharded(index):
        return open_generation(index, degraded=degraded)
    shards = read_shards(index)
    while True:
        problems = dict[str, DamagedError | MissingError]()
        opened = _open_each(index, shards, problems)
        newest = read_shards(index) if problems else shards
        if newest.generation == shards.generation:
            break
        # A builder removed the shards of the generation that this began with.
        shards = newest
    if problems and not (degraded and opened):
        raise next(iter(problems.values()))
    return _joined(index, shards, opened, tuple(problems))


def open_shard(index: Path, shards: Shards, entry: ShardEntry) -> OpenIndex:
    """Map one shard; the error, DamagedError or MissingError, begins with its name."""
    folder = shard_folder(index, entry)
    try:
        check_shard(index, entry)
        opened = open_generation(folder)
        if opened.manifest.vocabulary != shards.vocabulary:
            raise DamagedError(f"{folder} has another vocabulary than the index.")
    except (DamagedError, MissingError) as error:
        raise type(error)(
            f"Shard {entry.name}: {error} Build again, or leave the shard out with --degraded."
        ) from None
    return opened


def check_shard(index: Path, entry: ShardEntry) -> None:
    """MissingError or DamagedError where its manifest is not the one that shards.json names."""
    path = shard_folder(index, entry) / NAME
    if not path.is_file():
        raise MissingError(f"{path} does not exist.")
    if sha256_of(path) != entry.sha256:
        raise DamagedError(f"{path} is not the one that {SHARDS_NAME} names.")


def _open_each(
    index: Path, shards: Shards, problems: dict[str, DamagedError | MissingError]
) -> list[OpenIndex]:
    opened = []
    for entry in shards.shards:
        try:
            opened.append(open_shard(index, shards, entry))
        except (DamagedError, MissingError) as error:
            problems[f"{FOLDER}/{entry.name}"] = error
    return opened


def _joined(index: Path, shards: Shards, opened: list[OpenIndex], left_out: tuple[str, ...]) -> OpenIndex:
    """The segments of all shards as those of one index; equal shards have segments of equal names."""
    found = [segment for each in opened for segment in each.segments]
    segments = tuple(_numbered(segment, number) for number, segment in enumerate(found, 1))
    entries = tuple(segment.entry for segment in segments)
    manifest = Manifest(shards.generation, entries, shards.vocabulary, shards.made_by)
    return OpenIndex(index, manifest, opened[0].vocabulary, segments, left_out)


def _numbered(segment: OpenSegment, number: int) -> OpenSegment:
    return replace(segment, entry=replace(segment.entry, name=_segment_name(number, segment.entry.sha256)))


def _segment_name(number: int, sha256: str) -> str:
    return f"{number:06d}-{sha256[:8]}"
