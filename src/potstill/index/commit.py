"""From a finished segment to a new generation of the index, in one step; and what is left over removed."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from potstill.errors import MissingError
from potstill.files import sha256_of, sync_folder
from potstill.index.manifest import (
    BUILDING,
    SEGMENTS,
    VOCABULARIES,
    Manifest,
    SegmentEntry,
    read_manifest,
    write_manifest,
)
from potstill.index.segment_files import HEADER, read_header
from potstill.locks import locked


@contextmanager
def changing(index: Path) -> Iterator[Manifest | None]:
    """Be the one writer of `index`: its manifest, None where there is none yet.

    LockedError names the process that works on it. Folders that no manifest names any more are removed.
    """
    with locked(index):
        try:
            manifest = read_manifest(index)
        except MissingError:
            manifest = None
        remove_unnamed(index, manifest)
        try:
            yield manifest
        finally:
            _remove_empty_work(index)


def commit(index: Path, segment: Path, sign: int, make: Callable[[SegmentEntry], Manifest]) -> Manifest:
    """Give the finished folder `segment` its name and swap the manifest for what `make` makes of its entry.

    Readers of the generation before keep their mapped files; the folders that the new manifest does not name
    are removed.
    """
    header, digest = read_header(segment), sha256_of(segment / HEADER)
    entry = SegmentEntry(
        name="000000-" + digest[:8],
        sign=1 if sign > 0 else -1,
        sha256=digest,
        num_documents=header.num_documents,
        num_tokens=header.num_tokens,
    )
    generation = make(entry).generation
    entry = SegmentEntry(**{**vars(entry), "name": f"{generation:06d}-{digest[:8]}"})
    home = index / SEGMENTS / entry.name
    home.parent.mkdir(exist_ok=True)
    os.replace(segment, home)
    for folder in (home.parent, index, index.parent):
        sync_folder(folder)
    manifest = make(entry)
    write_manifest(index, manifest)
    remove_unnamed(index, manifest)
    return manifest


def remove_unnamed(index: Path, manifest: Manifest | None) -> None:
    """Remove segments and vocabularies that the manifest does not name, and what a write cut short left."""
    segments = {entry.name for entry in manifest.segments} if manifest else set()
    vocabularies = {vocabulary_name(manifest.vocabulary.fingerprint)} if manifest else set()
    for folder, named in ((SEGMENTS, segments), (VOCABULARIES, vocabularies)):
        for path in _children(index / folder):
            if path.name not in named:
                shutil.rmtree(path)
    for path in index.glob(".tmp-*"):
        path.unlink()


def open_work(index: Path, fingerprint: str) -> Path:
    """The folder for the unfinished steps of the work called `fingerprint`; that of other work is removed."""
    work = index / BUILDING / fingerprint
    for path in _children(work.parent):
        if path != work:
            shutil.rmtree(path)
    work.mkdir(parents=True, exist_ok=True)
    return work


def was_committed(index: Path, manifest: Manifest, fingerprint: str) -> bool:
    """Whether the work called `fingerprint` was killed after its commit, before its folder was removed."""
    building = index / BUILDING
    return (
        manifest.made_by == fingerprint
        and building.exists()
        and {path.name for path in _children(building)} <= {fingerprint}
    )


def close_work(index: Path) -> None:
    shutil.rmtree(index / BUILDING, ignore_errors=True)


def _remove_empty_work(index: Path) -> None:
    """A change that was refused before it finished anything leaves nothing to go on with."""
    building = index / BUILDING
    for folder in (*_children(building), building):
        with suppress(OSError):
            folder.rmdir()


def vocabulary_name(fingerprint: str) -> str:
    """The name of a vocabulary's folder, so that two generations may have different ones."""
    return fingerprint[:16]


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
