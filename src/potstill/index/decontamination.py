"""A corpus without some of its documents, and an index of a corpus for as long as it is asked."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.corpus.folder import building_corpus
from potstill.corpus.manifest import CORPUS_FILE, VOCABULARY_FOLDER, StoreFacts
from potstill.errors import MissingError, RefusedError
from potstill.index.build import BuildSettings, build_index, corpus_vocabulary
from potstill.index.manifest import NAME
from potstill.index.open import open_generation
from potstill.index.selection import live_documents
from potstill.progress import Progress, Silent


@contextmanager
def indexed(
    path: Path, *, memory_bytes: int, threads: int = 1, progress: Progress | None = None
) -> Iterator[Path]:
    """The folder of an index: `path`, or one over the corpus at `path` that is removed in the end.

    The temporary one lies beside the corpus and takes about twice its size. MissingError where `path` is
    neither.
    """
    if (path / NAME).is_file():
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
    index: Path, documents: Sequence[int], out: Path, progress: Progress | None = None
) -> StoreFacts:
    """Write the corpus of the index's live documents but those with the given numbers, in order, to `out`.

    It is the corpus that the sources without these documents would give. UsageError where `out` holds
    anything already; RefusedError where no document is left.
    """
    opened = open_generation(index)
    dropped, first = np.asarray(documents, dtype=np.int64), 0
    chosen = []
    for number, live in live_documents(opened).items():
        here = dropped[(dropped >= first) & (dropped < first + len(live))] - first
        kept = live.copy()
        kept[here] = False
        chosen.append(Chosen(opened.segments[number].store, runs_of(kept)))
        first += len(live)
    if not any(each.num_documents for each in chosen):
        raise RefusedError(f"No document of {index} would be left. Look at the evaluation files' fields.")
    with building_corpus(out) as folder:
        facts = copy_documents(chosen, folder, progress or Silent())
        opened.vocabulary.save(folder / VOCABULARY_FOLDER)
    return facts
