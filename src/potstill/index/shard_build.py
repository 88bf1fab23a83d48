"""An index in shards, built where an executor runs: shard by shard, each by itself and kept once it is whole.

Which documents a shard has depends on the sources and the number of shards alone, never on where or in which
order the shards are built. The folder of the index must be one that every worker sees under the same path.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from potstill.corpus.build import build_store_of
from potstill.corpus.copied_documents import Chosen, copy_documents
from potstill.corpus.manifest import read_corpus_facts
from potstill.corpus.split import Slice, split_sizes, split_sources
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import Vocabulary, load_vocabulary
from potstill.errors import DamagedError, MissingError, RefusedError, UsageError
from potstill.executors.executor import Executor, run_all
from potstill.files import sha256_of
from potstill.index.build import (
    BuildSettings,
    build_of_store,
    corpus_among,
    is_whole,
    keep_vocabulary,
    read_fingerprint,
)
from potstill.index.commit import close_work, vocabulary_name
from potstill.index.fingerprints import fingerprint_of
from potstill.index.manifest import NAME, VOCABULARIES, Manifest, read_manifest
from potstill.index.room import expect_build, refuse_without_room
from potstill.index.shards import (
    FOLDER,
    ShardEntry,
    Shards,
    check_shard,
    is_shard_name,
    is_sharded,
    read_shards,
    shard_folder,
    write_shards,
)
from potstill.locks import locked
from potstill.progress import Progress, Silent

MAX_SHARDS = 4096
_VOCABULARY_NAME = re.compile(r"[0-9a-f]{16}")
_UNFINISHED = ".tmp-"


class Documents(Protocol):
    """Some documents, that can be sent to where their shard is built."""

    @property
    def num_documents(self) -> int: ...

    def write_store(self, folder: Path, vocabulary: Vocabulary, settings: BuildSettings) -> None: ...


@dataclass(frozen=True)
class OfSources:
    slice: Slice

    @property
    def num_documents(self) -> int:
        return self.slice.stop - self.slice.first

    def write_store(self, folder: Path, vocabulary: Vocabulary, settings: BuildSettings) -> None:
        build_store_of(
            self.slice.files,
            folder,
            vocabulary,
            field=settings.field,
            workers=settings.num_workers,
            documents=self.slice.documents,
        )


@dataclass(frozen=True)
class OfCorpus:
    """The documents from `first` up to `stop` of a corpus."""

    corpus: Path
    first: int
    stop: int

    @property
    def num_documents(self) -> int:
        return self.stop - self.first

    def write_store(self, folder: Path, vocabulary: Vocabulary, settings: BuildSettings) -> None:
        store = Store(self.corpus, facts=read_corpus_facts(self.corpus))
        copy_documents([Chosen(store, ((self.first, self.stop),))], folder, Silent())


@dataclass(frozen=True)
class ShardTask:
    """All that the building of a shard depends on.

    folder       the shard's own
    fingerprint  of sources, vocabulary, settings, and which run of the documents it is
    vocabulary   folder of the vocabulary
    """

    folder: Path
    fingerprint: str
    vocabulary: Path
    documents: Documents
    settings: BuildSettings


def build_shards(
    sources: Sequence[Path],
    index: Path,
    vocabulary: Vocabulary,
    settings: BuildSettings,
    executor: Executor,
    *,
    num_shards: int | None = None,
    progress: Progress | None = None,
) -> Shards:
    """Index `sources` in `num_shards` shards (None: one a worker), and replace what the index held before.

    Sources and settings are those of `build_index`; the memory is shared out among the workers of a machine.
    No document is split, so there are at most as many shards as documents. A shard that an earlier process
    finished is not built again; the other shards of a build that was stopped are, and those that are damaged.
    Raises as `build_index`, and RefusedError where the sources changed meanwhile.
    """
    num_shards = num_shards or executor.num_workers
    _check(index, num_shards)
    progress = progress or Silent()
    fingerprint = fingerprint_of(
        "shards", read_fingerprint("shards", sources, vocabulary, settings), num_shards
    )
    with locked(index):
        before = read_shards(index) if is_sharded(index) else None
        _remove_unnamed(index, before, fingerprint)
        if before and before.made_by == fingerprint and _is_whole(index, before):
            return before
        expected = expect_build(sources, vocabulary, settings.num_workers)
        refuse_without_room(index, expected.least_bytes, "The index")
        _keep_vocabulary(index, vocabulary)
        documents = _split(sources, num_shards, vocabulary, settings, progress)
        tasks = list(_tasks(index, fingerprint, vocabulary, documents, _share(settings, executor)))
        run_all(executor, build_shard, tasks, name="shards", unit="shards", progress=progress)
        generation = before.generation + 1 if before else 1
        entries = tuple(_entry(task) for task in tasks)
        built = Shards(generation, entries, vocabulary.facts, fingerprint)
        write_shards(index, built)
        _remove_unnamed(index, built, fingerprint)
        return built


def build_shard(task: ShardTask) -> Manifest:
    """Build one shard, unless it is there; a worker does it, and nothing of it depends on which."""
    if manifest := _finished(task):
        return manifest
    vocabulary = load_vocabulary(task.vocabulary)

    def make_store(folder: Path) -> None:
        task.documents.write_store(folder, vocabulary, task.settings)

    return build_of_store(task.folder, task.fingerprint, vocabulary, task.settings.sort, make_store, Silent())


def _finished(task: ShardTask) -> Manifest | None:
    """The shard that an earlier process built; a damaged one is removed."""
    try:
        manifest = read_manifest(task.folder)
        if is_whole(task.folder, manifest):
            close_work(task.folder)
            return manifest
    except MissingError:
        return None
    except DamagedError:
        pass
    shutil.rmtree(task.folder)
    return None


def _check(index: Path, num_shards: int) -> None:
    if not 1 <= num_shards <= MAX_SHARDS:
        raise UsageError(f"{num_shards} shards cannot be built; ask for 1 to {MAX_SHARDS}.")
    if index.is_dir() and not is_sharded(index) and not all(map(_is_of_a_build, index.iterdir())):
        raise UsageError(f"{index} is not empty and no index in shards. Name another folder with --out.")


def _is_of_a_build(path: Path) -> bool:
    """Whether a build that was stopped before its end may have left this in the index's folder."""
    if path.name in (FOLDER, VOCABULARIES) and path.is_dir():
        return all(map(_is_named_here, path.iterdir()))
    return path.name == ".lock" or path.name.startswith(_UNFINISHED)


def _is_named_here(folder: Path) -> bool:
    """Whether a folder has a name that builds give; what others put there is not ours to remove."""
    if folder.parent.name == FOLDER:
        return is_shard_name(folder.name)
    return bool(_VOCABULARY_NAME.fullmatch(folder.name.removeprefix(_UNFINISHED)))


def _split(
    sources: Sequence[Path],
    num_shards: int,
    vocabulary: Vocabulary,
    settings: BuildSettings,
    progress: Progress,
) -> list[Documents]:
    corpus = corpus_among(sources)
    if corpus is None:
        slices = split_sources(sources, num_shards, vocabulary, field=settings.field, progress=progress)
        return [OfSources(each) for each in slices]
    facts = read_corpus_facts(corpus)
    if facts.vocabulary != vocabulary.facts:
        raise UsageError(f"{corpus} has another vocabulary than the index. Build it again with this one.")
    store = Store(corpus, facts=facts)
    store.verify()
    starts = store.documents()["first_symbol"].astype("int64")
    num_tokens = starts[1:] - starts[:-1] - 1
    borders = split_sizes(num_tokens, num_shards)
    return [OfCorpus(corpus, *run) for run in zip(borders, borders[1:], strict=False)]


def _share(settings: BuildSettings, executor: Executor) -> BuildSettings:
    """What one worker may use."""
    return replace(
        settings,
        memory_bytes=settings.memory_bytes // executor.workers_a_machine,
        num_workers=max(settings.num_workers // executor.workers_a_machine, 1),
    )


def _tasks(
    index: Path,
    fingerprint: str,
    vocabulary: Vocabulary,
    documents: Sequence[Documents],
    settings: BuildSettings,
) -> Iterator[ShardTask]:
    # Workers may have another working folder.
    index = index.absolute()
    vocabulary_folder = index / VOCABULARIES / vocabulary_name(vocabulary.fingerprint)
    for number, each in enumerate(documents):
        # Another build has other names, so that what stands is readable until the new one is whole.
        folder = index / FOLDER / f"{fingerprint[:8]}-{number:03d}"
        own = fingerprint_of("shard", fingerprint, number)
        yield ShardTask(folder, own, vocabulary_folder, each, settings)


def _entry(task: ShardTask) -> ShardEntry:
    try:
        manifest = read_manifest(task.folder)
    except MissingError:
        raise MissingError(
            f"{task.folder} was built and is not here: the workers write to disks of their own. "
            f"Name a folder with --out that all of them share with this machine."
        ) from None
    if manifest.num_documents != task.documents.num_documents:
        raise RefusedError("The sources changed while they were read. Run the same command again.")
    digest = sha256_of(task.folder / NAME)
    return ShardEntry(task.folder.name, digest, manifest.num_documents, manifest.num_tokens)


def _is_whole(index: Path, shards: Shards) -> bool:
    """Whether every byte of the index is as it was written: what is damaged is built again."""
    folders = [shard_folder(index, entry) for entry in shards.shards]
    try:
        load_vocabulary(index / VOCABULARIES / vocabulary_name(shards.vocabulary.fingerprint))
        for entry in shards.shards:
            check_shard(index, entry)
        return all(is_whole(folder, read_manifest(folder)) for folder in folders)
    except (DamagedError, MissingError):
        return False


def _keep_vocabulary(index: Path, vocabulary: Vocabulary) -> None:
    folder = index / VOCABULARIES / vocabulary_name(vocabulary.fingerprint)
    try:
        load_vocabulary(folder)
    except (DamagedError, MissingError):
        shutil.rmtree(folder, ignore_errors=True)
        keep_vocabulary(index, vocabulary)


def _remove_unnamed(index: Path, shards: Shards | None, fingerprint: str) -> None:
    """What is neither a shard or the vocabulary of the index nor work of the build called `fingerprint`."""
    names = {entry.name for entry in shards.shards} if shards else set()
    if shards:
        names.add(vocabulary_name(shards.vocabulary.fingerprint))
    for folder in [*index.glob(f"{FOLDER}/*"), *index.glob(f"{VOCABULARIES}/*")]:
        is_work = folder.parent.name == FOLDER and folder.name.startswith(fingerprint[:8])
        if folder.name not in names and not is_work and _is_named_here(folder):
            shutil.rmtree(folder)
