"""The steps from documents to a finished segment, each kept on the disk so that the next process goes on.

    store/    tokenized documents, whole once it has its name
    part-*    the sorted suffixes of a part of the stream, where it does not fit the memory at once
    segment/  the store's files, the sorted suffixes, the tables, the checksums and the header

How the stream was cut into parts never shows in the segment.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill import _native
from potstill.corpus.manifest import StoreFacts, read_corpus_facts
from potstill.corpus.store import Store
from potstill.files import writing_folder
from potstill.index.native_work import run_native
from potstill.index.parts import Part, plan_parts
from potstill.index.segment_files import DeletedRun, seal_segment
from potstill.progress import Progress

STORE, SEGMENT = "store", "segment"
# Another disk, a file system without links, or one file with too many of them.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK)
MakeStore = Callable[[Path], object]


@dataclass(frozen=True)
class SortSettings:
    """memory_bytes  that sorting may hold
    with_tables   write the tables of one and two tokens too
    num_threads   of the sort and the merge
    """

    memory_bytes: int
    with_tables: bool = True
    num_threads: int = 1


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
    segment, store = work / SEGMENT, work / STORE
    if segment.exists():
        return segment
    facts = read_corpus_facts(store)
    parts = plan_parts(_borders(store, facts), _part_symbols(facts, settings))
    if len(parts) > 1:
        for part in parts:
            _keep_part(work, part, facts, progress)
    with writing_folder(segment) as folder:
        link_files(store, facts.files, folder)
        if len(parts) > 1:
            num_bigrams = _merge(work, folder, parts, facts, settings, progress)
        else:
            num_bigrams = _sort(folder, facts, settings, progress)
        seal_segment(folder, sealed_facts(facts, deletes), num_bigrams=num_bigrams)
    return segment


def sealed_facts(facts: StoreFacts, deletes: tuple[DeletedRun, ...] = ()) -> dict[str, Any]:
    """What `seal_segment` wants to know of a store."""
    return {
        "num_documents": facts.num_documents,
        "num_tokens": facts.num_tokens,
        "num_symbols": facts.num_symbols,
        "symbol_bytes": facts.symbol_bytes,
        "vocabulary": facts.vocabulary,
        "deletes": deletes,
    }


def link_files(source: Path, names: Iterable[str], folder: Path) -> None:
    """Files of `source` in `folder` too: as hard links, or as copies where that cannot be."""
    for name in names:
        try:
            os.link(source / name, folder / name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source / name, folder / name)


def _borders(store: Path, facts: StoreFacts) -> NDArray[np.int64]:
    rows = Store(store, facts=facts).documents()
    return rows["first_symbol"].astype(np.int64)


def _part_symbols(facts: StoreFacts, settings: SortSettings) -> int:
    """Symbols that can be sorted at once within the memory."""
    raise NotImplementedError


def _sort(folder: Path, facts: StoreFacts, settings: SortSettings, progress: Progress) -> int | None:
    num_bigrams = run_native(
        lambda work: _native.build_suffixes(
            str(folder),
            facts.symbol_bytes,
            facts.num_symbols,
            facts.num_documents,
            facts.vocabulary.vocab_size,
            settings.with_tables,
            settings.num_threads,
            work,
        ),
        progress,
        "sort",
        facts.num_symbols,
        "tokens",
    )
    return num_bigrams if settings.with_tables else None


def _keep_part(work: Path, part: Part, facts: StoreFacts, progress: Progress) -> None:
    raise NotImplementedError


def _merge(
    work: Path,
    folder: Path,
    parts: Sequence[Part],
    facts: StoreFacts,
    settings: SortSettings,
    progress: Progress,
) -> int | None:
    raise NotImplementedError
