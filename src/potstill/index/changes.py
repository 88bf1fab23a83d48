"""Documents added to an index and deleted from it, each change a new segment and a new generation.

A deletion is a small negative segment of the deleted documents: what it counts is subtracted, so that every
answer stays exact. `merge` writes the live documents as one segment again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.errors import UsageError
from potstill.index.build import (
    BuildSettings,
    TellPassedOver,
    keep_read_segment,
    read_fingerprint,
    untold,
)
from potstill.index.commit import changing, close_work, commit, open_work, was_committed
from potstill.index.fingerprints import fingerprint_of
from potstill.index.manifest import Manifest, SegmentEntry, require_index
from potstill.index.open import open_generation
from potstill.index.segment_build import keep_segment, keep_store
from potstill.index.segment_files import DeletedRun
from potstill.index.selection import select_documents
from potstill.index.sorting import SortSettings
from potstill.progress import Progress, Silent


def add(
    index: Path,
    sources: Sequence[Path],
    settings: BuildSettings,
    progress: Progress | None = None,
    tell: TellPassedOver = untold,
) -> Manifest:
    """Append the documents of `sources`, cut with the index's own vocabulary; returns the new manifest.

    Sources and `tell` are as in `build_index`; UsageError for a corpus that has another vocabulary.
    """
    with changing(require_index(index)) as manifest:
        assert manifest is not None
        opened = open_generation(index)
        settings = replace(settings, with_tables=opened.segments[0].header.has_tables)

        def fingerprint(base: Sequence[str]) -> str:
            return read_fingerprint("add", sources, opened.vocabulary, settings, base)

        if was_finished(index, manifest, fingerprint):
            return manifest
        made_by = fingerprint(_names(manifest))
        work = open_work(index, made_by)
        progress = progress or Silent()
        segment = keep_read_segment(work, sources, opened.vocabulary, settings, progress, tell)
        return _append(index, manifest, segment, 1, made_by)


def delete(
    index: Path,
    *,
    documents: Sequence[int] = (),
    sources: Sequence[Path] = (),
    memory_bytes: int,
    progress: Progress | None = None,
) -> Manifest:
    """Delete the documents with these numbers, and all live ones of these source files.

    UsageError, and nothing is changed, for a number that no document has, for one that is deleted already,
    and for a source that no live document is from.
    """
    if not documents and not sources:
        raise UsageError("Nothing to delete: name documents with --document, or source files with --source.")
    with changing(require_index(index)) as manifest:
        assert manifest is not None

        def fingerprint(base: Sequence[str]) -> str:
            return fingerprint_of("delete", list(base), sorted(documents), sorted(map(os.fsdecode, sources)))

        if was_finished(index, manifest, fingerprint):
            return manifest
        opened = open_generation(index)
        chosen = {
            opened.segments[number].entry.name: Chosen(opened.segments[number].store, runs_of(mask))
            for number, mask in select_documents(opened, documents, sources).items()
        }
        made_by = fingerprint(_names(manifest))
        work = open_work(index, made_by)
        settings = SortSettings(memory_bytes, opened.segments[0].header.has_tables)
        segment = _keep_negative(work, chosen, settings, progress or Silent())
        return _append(index, manifest, segment, -1, made_by)


def _keep_negative(
    work: Path, chosen: Mapping[str, Chosen], settings: SortSettings, progress: Progress
) -> Path:
    """The finished segment of the documents chosen, by the names of the segments that they are of."""
    deletes = tuple(
        DeletedRun(name, first, stop - first) for name, each in chosen.items() for first, stop in each.runs
    )
    keep_store(work, lambda folder: copy_documents(list(chosen.values()), folder, progress))
    return keep_segment(work, settings, progress, deletes)


def was_finished(index: Path, manifest: Manifest, fingerprint: Callable[[Sequence[str]], str]) -> bool:
    """Whether this very change was committed by a process that was killed right after; then it is tidied up.

    `fingerprint` gives that of the change to an index of the segments named.
    """
    is_finished = was_committed(index, manifest, fingerprint(_names(manifest)[:-1]))
    if is_finished:
        close_work(index)
    return is_finished


def _names(manifest: Manifest) -> list[str]:
    return [entry.name for entry in manifest.segments]


def _append(index: Path, manifest: Manifest, segment: Path, sign: int, made_by: str) -> Manifest:
    def make(entry: SegmentEntry) -> Manifest:
        return replace(
            manifest,
            generation=manifest.generation + 1,
            segments=(*manifest.segments, entry),
            made_by=made_by,
        )

    changed = commit(index, segment, sign, make)
    close_work(index)
    return changed
