"""The steps from documents to a finished segment, each kept on the disk so that the next process goes on.

    store/    tokenized documents, whole once it has its name
    part-*    the sorted suffixes of a part of the stream, where it does not fit the memory at once
    segment/  the store's files, the sorted suffixes, the tables, the checksums and the header

How the stream was cut into parts never shows in the segment.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from potstill import _native
from potstill.corpus.manifest import TOKENS, StoreFacts, read_corpus_facts
from potstill.corpus.store import Store
from potstill.files import writing_folder
from potstill.index.room import room_for_order
from potstill.index.segment_files import DeletedRun, seal_segment
from potstill.index.sorting import SortSettings, merge_lists, plan, sort_at_once, sort_parts
from potstill.progress import Progress

STORE, SEGMENT = "store", "segment"
# Another disk, a file system without links, or one file with too many of them.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK)

MakeStore = Callable[[Path], object]
# Writes the suffix files of `folder`/tokens.bin beside it; the number of bigrams, None without tables.
Sort = Callable[[Path, StoreFacts], int | None]


def keep_store(work: Path, make_store: MakeStore) -> StoreFacts:
    """The store in `work`, made by `make_store(folder)` unless an earlier process finished it."""
    store = work / STORE
    if not store.exists():
        with writing_folder(store) as folder:
            make_store(folder)
    return read_corpus_facts(store)


def keep_segment(
    work: Path, settings: SortSettings, progress: Progress, deletes: tuple[DeletedRun, ...] = ()
) -> Path:
    """The finished segment of the store in `work`; a negative one tells which documents it `deletes`."""

    def sort(folder: Path, facts: StoreFacts) -> int | None:
        rows = Store(work / STORE, facts=facts).documents()
        parts = plan(rows["first_symbol"].astype(np.int64), facts, settings)
        if len(parts) <= 1:
            with room_for_order(work, facts):
                return sort_at_once(folder, facts, settings, progress)
        files = {part: work / part.file_name for part in parts}
        missing = {part: path for part, path in files.items() if not path.exists()}
        with room_for_order(work, facts, sum(part.stop - part.first for part in missing)):
            sort_parts(work / STORE / TOKENS, missing, facts, settings, progress)
            lists = [_native.PartFile(path, part.first) for part, path in files.items()]
            return merge_lists(folder, lists, facts, settings, progress)

    return seal_sorted(work, sort, deletes)


def seal_sorted(work: Path, sort: Sort, deletes: tuple[DeletedRun, ...] = ()) -> Path:
    """The finished segment of the store in `work`, its suffixes written by `sort` unless they are there."""
    segment, store = work / SEGMENT, work / STORE
    if not segment.exists():
        facts = read_corpus_facts(store)
        with writing_folder(segment) as folder:
            link_files(store, facts.files, folder)
            num_bigrams = sort(folder, facts)
            seal_segment(folder, _sealed_facts(facts, deletes), num_bigrams=num_bigrams)
    return segment


def link_files(source: Path, names: Iterable[str], folder: Path) -> None:
    """Files of `source` in `folder` too: as hard links, or as copies where that cannot be."""
    for name in names:
        try:
            os.link(source / name, folder / name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source / name, folder / name)


def _sealed_facts(facts: StoreFacts, deletes: tuple[DeletedRun, ...]) -> dict[str, Any]:
    return {
        "num_documents": facts.num_documents,
        "num_tokens": facts.num_tokens,
        "num_symbols": facts.num_symbols,
        "symbol_bytes": facts.symbol_bytes,
        "vocabulary": facts.vocabulary,
        "deletes": deletes,
    }
