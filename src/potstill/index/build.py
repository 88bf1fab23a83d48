"""Texts, or a corpus that is built already, to an index.

Nothing is visible before the manifest is swapped. What is finished on the way is kept in `.building`, by a
fingerprint of sources, vocabulary and settings, so the same command goes on after a kill and ends in the same
bytes; what other commands left there is removed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.corpus.build import build_store
from potstill.corpus.checksums import CHECKSUMS_FILE, verify_file
from potstill.corpus.manifest import CORPUS_FILE, VOCABULARY_FOLDER, read_corpus_facts, write_corpus_facts
from potstill.corpus.source_files import PassedOver, find_source_files
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import Vocabulary, load_vocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.files import writing_folder
from potstill.index.commit import changing, close_work, commit, open_work, vocabulary_name
from potstill.index.fingerprints import fingerprint_of, stamps
from potstill.index.manifest import SEGMENTS, VOCABULARIES, Manifest, SegmentEntry
from potstill.index.open import checked_header
from potstill.index.room import expect_build, refuse_without_room
from potstill.index.segment_build import MakeStore, keep_segment, keep_store, link_files
from potstill.index.segment_files import check_files
from potstill.index.sorting import SortSettings
from potstill.progress import Progress, Silent

# Called with the files that were passed over.
TellPassedOver = Callable[[Sequence[PassedOver]], None]


def untold(passed_over: Sequence[PassedOver]) -> None:
    pass


@dataclass(frozen=True)
class BuildSettings:
    """How an index is built; only `with_tables` and `field` show in it.

    memory_bytes  that the build may hold
    with_tables   write tables of one and two tokens: faster counts, more bytes
    field         of records, that holds the text; None: the first of the usual ones
    num_workers   processes that tokenize, and threads that merge
    """

    memory_bytes: int
    with_tables: bool = True
    field: str | None = None
    num_workers: int = 1

    @property
    def sort(self) -> SortSettings:
        return SortSettings(self.memory_bytes, self.with_tables, self.num_workers)


def build_index(
    sources: Sequence[Path],
    index: Path,
    vocabulary: Vocabulary,
    settings: BuildSettings,
    progress: Progress | None = None,
    tell: TellPassedOver = untold,
) -> Manifest:
    """Index `sources`, and replace what the index held before; returns the manifest.

    `tell` is called once with the files in folders that were passed over, as soon as the sources are read;
    not where that was done by an earlier process.

    A source is a file, a folder, a pattern, or one corpus folder by itself, whose vocabulary must be
    `vocabulary`. Does nothing where the index was built from just these. UsageError for a folder that holds
    other things, LockedError while another process works on it, DiskFull before the disk is full.
    """
    refuse_foreign(index)
    progress = progress or Silent()
    fingerprint = read_fingerprint("build", sources, vocabulary, settings)

    def make_store(folder: Path) -> None:
        read_store(sources, folder, vocabulary, settings, progress, tell)

    return build_of_store(index, fingerprint, vocabulary, settings.sort, make_store, progress)


def build_of_store(
    index: Path,
    fingerprint: str,
    vocabulary: Vocabulary,
    settings: SortSettings,
    make_store: MakeStore,
    progress: Progress,
) -> Manifest:
    """Make `index` hold just the documents of the store that `make_store(folder)` writes.

    `fingerprint` is of all that those depend on: where the index was built from it, nothing is done.
    """
    with changing(index) as manifest:
        if manifest is not None and manifest.made_by == fingerprint and is_whole(index, manifest):
            close_work(index)
            return manifest
        work = open_work(index, fingerprint)
        keep_store(work, make_store)
        segment = keep_segment(work, settings, progress)
        keep_vocabulary(index, vocabulary)
        generation = manifest.generation + 1 if manifest else 1

        def make(entry: SegmentEntry) -> Manifest:
            return Manifest(generation, (entry,), vocabulary.facts, fingerprint)

        built = commit(index, segment, 1, make)
        close_work(index)
        return built


def keep_read_segment(
    work: Path,
    sources: Sequence[Path],
    vocabulary: Vocabulary,
    settings: BuildSettings,
    progress: Progress,
    tell: TellPassedOver,
) -> Path:
    """The finished segment of `sources` in `work`."""
    keep_store(work, lambda folder: read_store(sources, folder, vocabulary, settings, progress, tell))
    return keep_segment(work, settings.sort, progress)


def read_store(
    sources: Sequence[Path],
    folder: Path,
    vocabulary: Vocabulary,
    settings: BuildSettings,
    progress: Progress,
    tell: TellPassedOver,
) -> None:
    """Write the store of `sources` into the empty `folder`; DiskFull at once where it has no room."""
    expected = expect_build(sources, vocabulary, settings.num_workers)
    refuse_without_room(folder, expected.least_bytes, "The index")
    if corpus := corpus_among(sources):
        copy_corpus(corpus, folder, vocabulary)
    else:
        workers = settings.num_workers
        built = build_store(
            sources, folder, vocabulary, field=settings.field, workers=workers, progress=progress
        )
        tell(built.passed_over)


def read_fingerprint(
    kind: str,
    sources: Sequence[Path],
    vocabulary: Vocabulary,
    settings: BuildSettings,
    base: Sequence[str] = (),
) -> str:
    """Of all that a segment depends on, and of the segments before it; MissingError without sources."""
    corpus = corpus_among(sources)
    found = find_source_files([corpus / CORPUS_FILE] if corpus else sources)
    kept = (settings.with_tables, settings.field)
    return fingerprint_of(kind, list(base), stamps(found.files), vocabulary.fingerprint, *kept)


def corpus_among(sources: Sequence[Path]) -> Path | None:
    """The corpus folder, if that is what is to be indexed; UsageError where more is named beside it."""
    corpora = [source for source in sources if (source / CORPUS_FILE).is_file()]
    if corpora and len(sources) > 1:
        raise UsageError(f"{corpora[0]} is a corpus: index it by itself, then `index add` the others.")
    return corpora[0] if corpora else None


def corpus_vocabulary(sources: Sequence[Path]) -> Vocabulary | None:
    """The vocabulary of the corpus that is to be indexed, None where the sources are texts."""
    corpus = corpus_among(sources)
    return load_vocabulary(corpus / VOCABULARY_FOLDER) if corpus else None


def copy_corpus(corpus: Path, folder: Path, vocabulary: Vocabulary) -> None:
    """The store of `corpus` in `folder` too, its bytes compared with their checksums first."""
    facts = read_corpus_facts(corpus)
    if facts.vocabulary != vocabulary.facts:
        raise UsageError(f"{corpus} has another vocabulary than the index. Build it again with this one.")
    Store(corpus, facts=facts).verify()
    link_files(corpus, [*facts.files, CHECKSUMS_FILE], folder)
    write_corpus_facts(folder, facts)


def is_whole(index: Path, manifest: Manifest) -> bool:
    """Whether every byte of the index is as it was written: a damaged one is built again."""
    try:
        for entry in manifest.segments:
            folder = index / SEGMENTS / entry.name
            for name, sums in check_files(folder, checked_header(folder, entry)).items():
                verify_file(folder / name, sums)
        load_vocabulary(index / VOCABULARIES / vocabulary_name(manifest.vocabulary.fingerprint))
    except (DamagedError, MissingError):
        return False
    return True


def keep_vocabulary(index: Path, vocabulary: Vocabulary) -> None:
    folder = index / VOCABULARIES / vocabulary_name(vocabulary.fingerprint)
    if not folder.exists():
        with writing_folder(folder) as partial:
            vocabulary.save(partial)


def refuse_foreign(index: Path) -> None:
    """UsageError for a folder with contents that are not an index's; asked before anything is written."""
    if not index.is_dir():
        return
    names = {path.name for path in index.iterdir()}
    known = {"manifest.json", ".building"}
    if names - {".lock"} and not names & known:
        raise UsageError(f"{index} is not empty and no index. Name another folder with --out.")
