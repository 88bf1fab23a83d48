"""A corpus without some of its documents, and an index of a corpus for as long as it is asked."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.corpus.folder import DROPPED_FILE, building_corpus
from potstill.corpus.manifest import CORPUS_FILE, VOCABULARY_FOLDER, StoreFacts
from potstill.corpus.store import Store
from potstill.errors import MissingError, RefusedError
from potstill.files import write_bytes
from potstill.index.build import BuildSettings, build_index, corpus_vocabulary
from potstill.index.manifest import NAME
from potstill.index.open import OpenIndex
from potstill.index.selection import live_documents
from potstill.index.shards import is_sharded
from potstill.progress import Progress, Silent


def is_index(path: Path) -> bool:
    """Whether `path` holds an index, whole or in shards."""
    return (path / NAME).is_file() or is_sharded(path)


@contextmanager
def indexed(
    path: Path, *, memory_bytes: int, threads: int = 1, progress: Progress | None = None
) -> Iterator[Path]:
    """The folder of an index: `path`, or one over the corpus at `path` that is removed in the end.

    The temporary one lies beside the corpus and takes about twice its size. MissingError where `path` is
    neither.
    """
    if is_index(path):
        yield path
        return
    vocabulary = corpus_vocabulary([path]) if (path / CORPUS_FILE).is_file() else None
    if vocabulary is None:
        raise MissingError(
            f"{path} is neither a corpus nor an index. Make one with `potstill corpus build` or "
            f"`potstill index build`."
        )
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".tmp-{path.name}-index-") as folder:
        index = Path(folder, "index")
        settings = BuildSettings(memory_bytes, num_workers=threads)
        build_index([path], index, vocabulary, settings, progress)
        yield index


def write_without(
    opened: OpenIndex, dropped: Mapping[int, Mapping[str, Any]], out: Path, progress: Progress | None = None
) -> StoreFacts:
    """Write the corpus of the index's live documents, but those numbered in `dropped`, in order to `out`.

    The generation is that which the numbers are of: a merge meanwhile would number other documents so.

    It is the corpus that the sources without these documents would give. `out`/dropped.jsonl tells where each
    dropped document is from, with what `dropped` says of it. UsageError where `out` holds anything already;
    RefusedError where no document is left.
    """
    live = live_documents(opened)
    stores = {number: opened.segments[number].store for number in live}
    firsts = dict(zip(live, accumulate(map(len, live.values()), initial=0), strict=False))
    rows = []
    for number, told in sorted(dropped.items()):
        segment = max(each for each in live if firsts[each] <= number)
        live[segment][number - firsts[segment]] = False
        rows.append({"document": number, **_place(stores[segment], number - firsts[segment]), **told})
    chosen = [Chosen(stores[number], runs_of(kept)) for number, kept in live.items()]
    if not any(each.num_documents for each in chosen):
        raise RefusedError(f"No document of {opened.path} would be left. Look at the settings and the files.")
    with building_corpus(out) as folder:
        facts = copy_documents(chosen, folder, progress or Silent())
        opened.vocabulary.save(folder / VOCABULARY_FOLDER)
        write_bytes(folder / DROPPED_FILE, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return facts


def _place(store: Store, document: int) -> dict[str, Any]:
    row = store.document(document)
    return {"path": str(store.source(row.source).path), "record": row.record}
