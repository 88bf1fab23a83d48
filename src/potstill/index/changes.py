"""Documents added to an index and deleted from it, each change a new segment and a new generation.

A deletion is a small negative segment of the deleted documents: what it counts is subtracted, so that every
answer stays exact. `merge` writes the live documents as one segment again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from potstill.errors import UsageError
from potstill.index.build import BuildSettings, keep_read_segment
from potstill.index.commit import changing, close_work, commit, open_work
from potstill.index.copied_documents import Chosen, copy_documents, runs_of
from potstill.index.fingerprints import fingerprint_of
from potstill.index.manifest import Manifest, SegmentEntry, require_index
from potstill.index.open import open_generation
from potstill.index.segment_build import SortSettings, keep_segment, keep_store
from potstill.index.segment_files import DeletedRun
from potstill.index.selection import select_documents
from potstill.progress import Progress, Silent


def add(
    index: Path, sources: Sequence[Path], settings: BuildSettings, progress: Progress | None = None
) -> Manifest:
    """Append the documents of `sources`, cut with the index's own vocabulary; returns the new manifest.

    A source is what `build_index` takes; UsageError for a corpus that has another vocabulary.
    """
    with changing(require_index(index)) as manifest:
        assert manifest is not None
        opened = open_generation(index)
        settings = replace(settings, with_tables=opened.segments[0].header.has_tables)
        segment = keep_read_segment(
            index, sources, opened.vocabulary, settings, progress or Silent(), after=manifest.generation
        )
        return _append(index, manifest, segment, 1)


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
    progress = progress or Silent()
    with changing(require_index(index)) as manifest:
        assert manifest is not None
        opened = open_generation(index)
        found = select_documents(opened, documents, sources)
        chosen = {
            opened.segments[number].entry.name: Chosen(opened.segments[number].store, runs_of(mask))
            for number, mask in found.items()
        }
        deletes = tuple(
            DeletedRun(name, first, stop - first)
            for name, each in chosen.items()
            for first, stop in each.runs
        )
        settings = SortSettings(memory_bytes, opened.segments[0].header.has_tables)
        work = open_work(index, fingerprint_of("delete", manifest.generation, deletes))
        keep_store(work, lambda folder: copy_documents(list(chosen.values()), folder, progress))
        segment = keep_segment(work, settings, progress, deletes)
        return _append(index, manifest, segment, -1)


def _append(index: Path, manifest: Manifest, segment: Path, sign: int) -> Manifest:
    def make(entry: SegmentEntry) -> Manifest:
        return replace(
            manifest,
            generation=manifest.generation + 1,
            segments=(*manifest.segments, entry),
            built_from=None,
        )

    changed = commit(index, segment, sign, make)
    close_work(index)
    return changed
