"""A corpus without its duplicates, and the list of what was dropped and why."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.corpus.duplicates import Duplicate, DuplicateSettings, find_duplicates
from potstill.corpus.folder import DROPPED_FILE, building_corpus
from potstill.corpus.manifest import VOCABULARY_FOLDER, StoreFacts
from potstill.corpus.store import Store
from potstill.files import writing
from potstill.progress import Progress, Silent


@dataclass(frozen=True)
class Deduplicated:
    """What was left, and how many documents went for which reason."""

    facts: StoreFacts
    num_before: int
    num_equal: int
    num_near: int


def deduplicate(
    corpus: Path, out: Path, settings: DuplicateSettings | None = None, progress: Progress | None = None
) -> Deduplicated:
    """Make `out` the corpus of the documents of `corpus` that say nothing again, in order.

    `out`/dropped.jsonl tells of each other document where it is from and which kept one says the same.
    UsageError where `out` holds anything already.
    """
    progress = progress or Silent()
    store = Store(corpus)
    with building_corpus(out) as folder:
        duplicates = find_duplicates(store, settings, progress)
        kept = np.ones(store.num_documents, bool)
        kept[[duplicate.document for duplicate in duplicates]] = False
        facts = copy_documents([Chosen(store, runs_of(kept))], folder, progress)
        _write_dropped(store, duplicates, folder / DROPPED_FILE)
        store.vocabulary.save(folder / VOCABULARY_FOLDER)
    reasons = Counter(duplicate.reason for duplicate in duplicates)
    return Deduplicated(facts, store.num_documents, reasons["equal"], reasons["near"])


def _write_dropped(store: Store, duplicates: Sequence[Duplicate], path: Path) -> None:
    with writing(path) as file:
        for duplicate in duplicates:
            told = {
                "document": duplicate.document,
                **_place(store, duplicate.document),
                "reason": duplicate.reason,
                "similarity": round(duplicate.similarity, 4),
                "kept": {"document": duplicate.kept, **_place(store, duplicate.kept)},
            }
            file.write(json.dumps(told).encode() + b"\n")


def _place(store: Store, document: int) -> dict[str, Any]:
    row = store.document(document)
    return {"path": str(store.source(row.source).path), "record": row.record}
