"""What an index takes on the disk and whether every byte of it is right, be it whole or in shards."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from potstill.corpus.vocabulary import load_vocabulary
from potstill.errors import PotstillError
from potstill.index.commit import vocabulary_name
from potstill.index.manifest import NAME, SHARDS_NAME, VOCABULARIES
from potstill.index.shards import (
    FOLDER,
    ShardEntry,
    Shards,
    as_manifest,
    check_shard,
    is_sharded,
    read_shards,
    shard_folder,
)
from potstill.index.stats import IndexStats, SegmentStats, index_stats
from potstill.index.verify import Finding, verify_index
from potstill.progress import Progress


def stats_of_any(index: Path) -> IndexStats:
    """As `index_stats`; the segments of shards have their shard's name before their own."""
    if not is_sharded(index):
        return index_stats(index)
    shards = read_shards(index)
    return IndexStats(as_manifest(shards), tuple(_shard_segments(index, shards)))


def verify_any(index: Path, progress: Progress | None = None) -> list[Finding]:
    """As `verify_index`, of every shard; a shard that is missing is a finding too."""
    if not is_sharded(index):
        return verify_index(index, progress)
    shards = read_shards(index)
    findings = [Finding(index / SHARDS_NAME, (index / SHARDS_NAME).stat().st_size)]
    findings.append(_check_vocabulary(index, shards))
    for entry in shards.shards:
        findings += _verify_shard(index, entry, progress)
    return findings


def _shard_segments(index: Path, shards: Shards) -> Iterator[SegmentStats]:
    for entry in shards.shards:
        check_shard(index, entry)
        for segment in index_stats(shard_folder(index, entry)).segments:
            yield replace(segment, name=f"{FOLDER}/{entry.name}/{segment.name}")


def _check_vocabulary(index: Path, shards: Shards) -> Finding:
    folder = index / VOCABULARIES / vocabulary_name(shards.vocabulary.fingerprint)
    try:
        if load_vocabulary(folder).facts != shards.vocabulary:
            return Finding(folder, 0, f"{folder} is another vocabulary than the one {SHARDS_NAME} names.")
    except (PotstillError, FileNotFoundError) as error:
        return Finding(folder, 0, str(error))
    return Finding(folder, 0)


def _verify_shard(index: Path, entry: ShardEntry, progress: Progress | None) -> list[Finding]:
    try:
        check_shard(index, entry)
        return verify_index(shard_folder(index, entry), progress)
    except PotstillError as error:
        return [Finding(shard_folder(index, entry) / NAME, 0, str(error))]
