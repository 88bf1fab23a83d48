"""One segment of the live documents, from the segments that there are: merged, never sorted again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from potstill import _native
from potstill.corpus.checksums import verify_file
from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.corpus.manifest import StoreFacts
from potstill.index.commit import changing, close_work, commit, open_work
from potstill.index.fingerprints import fingerprint_of
from potstill.index.manifest import Manifest, SegmentEntry, require_index
from potstill.index.open import OpenIndex, OpenSegment, open_generation
from potstill.index.room import room_for_order
from potstill.index.segment_build import keep_store, seal_sorted
from potstill.index.segment_files import SUFFIXES, check_files
from potstill.index.selection import live_documents
from potstill.index.sorting import SortSettings, merge_lists
from potstill.progress import Progress, Silent

_Source = tuple[OpenSegment, Chosen]


def merge_index(index: Path, settings: SortSettings, progress: Progress | None = None) -> Manifest:
    """Make the index one segment, byte for byte that of a build from its live documents.

    Documents are numbered anew. Does nothing where there is one segment only. Tables are as in the index,
    whatever `settings` say. Raises as `build_index` does; DamagedError before damage is copied.
    """
    progress = progress or Silent()
    with changing(require_index(index)) as manifest:
        assert manifest is not None
        if len(manifest.segments) == 1:
            close_work(index)
            return manifest
        opened = open_generation(index)
        settings = replace(settings, with_tables=opened.segments[0].header.has_tables)
        made_by = fingerprint_of("merge", [entry.name for entry in manifest.segments])
        work = open_work(index, made_by)
        segment = _keep_merged(work, opened, settings, progress)

        def make(entry: SegmentEntry) -> Manifest:
            return replace(manifest, generation=manifest.generation + 1, segments=(entry,), made_by=made_by)

        merged = commit(index, segment, 1, make)
        close_work(index)
        return merged


def _keep_merged(work: Path, opened: OpenIndex, settings: SortSettings, progress: Progress) -> Path:
    sources = [
        (opened.segments[number], Chosen(opened.segments[number].store, runs_of(mask)))
        for number, mask in live_documents(opened).items()
    ]
    keep_store(work, lambda folder: copy_documents([chosen for _, chosen in sources], folder, progress))

    def sort(folder: Path, facts: StoreFacts) -> int | None:
        with room_for_order(work, facts):
            return merge_lists(folder, _lists(sources), facts, settings, progress)

    return seal_sorted(work, sort)


def _lists(sources: list[_Source]) -> list[_native.SuffixList]:
    """The sorted suffixes of each segment with where its kept documents go."""
    lists: list[_native.SuffixList] = []
    first = 0
    for segment, chosen in sources:
        kept = _kept_symbols(chosen, first)
        first += int((kept[:, 1] - kept[:, 0]).sum())
        header = segment.header
        path = segment.folder / SUFFIXES
        verify_file(path, check_files(segment.folder, header)[SUFFIXES])
        lists.append(_native.PackedFile(path, header.position_bits, header.num_tokens, kept))
    return lists


def _kept_symbols(chosen: Chosen, first: int) -> NDArray[np.uint64]:
    """[K, 3] symbols from, symbols to, and where the run goes in the joined stream."""
    borders = np.array(chosen.runs, np.int64).reshape(-1, 2)
    starts = chosen.store.documents()["first_symbol"].astype(np.int64)
    from_, to = starts[borders[:, 0]], starts[borders[:, 1]]
    new_first = first + np.cumsum(to - from_) - (to - from_)
    return np.ascontiguousarray(np.stack([from_, to, new_first], axis=1).astype(np.uint64))
