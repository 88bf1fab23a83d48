"""From files to a corpus: read, cut into tokens, written once, whole or not at all."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.corpus.cutting import cut_for
from potstill.corpus.encoding import EncodedBatch, Piece
from potstill.corpus.files import expand
from potstill.corpus.folder import building_corpus
from potstill.corpus.manifest import DOCUMENT_ROW, VOCABULARY_FOLDER, StoreFacts, write_corpus_facts
from potstill.corpus.reading import PlacedPiece, SourceReader
from potstill.corpus.source_files import PassedOver, SourceFile, find_source_files
from potstill.corpus.store import Source
from potstill.corpus.store_writer import Rows, StoreWriter, room_for
from potstill.corpus.vocabulary import Vocabulary
from potstill.corpus.workers import encode_batches
from potstill.errors import ConfigError, MissingError
from potstill.progress import Progress, Silent

MAX_WORKERS = 256
_BATCH_BYTES = 1 << 20
_BATCH_PIECES = 4096
# Below this starting processes takes longer than the work.
_MIN_BYTES_A_WORKER = 8 << 20
_MB = 1e6


@dataclass(frozen=True)
class Built:
    """What became of the sources; `passed_over` are files in folders that are no text or cannot be read."""

    facts: StoreFacts
    num_sources: int
    source_bytes: int
    passed_over: tuple[PassedOver, ...]


def build_corpus(
    sources: Sequence[Path],
    out: Path,
    vocabulary: Vocabulary,
    *,
    field: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """Make the folder `out` a corpus of everything in `sources` (files, folders, patterns).

    Equal sources and vocabulary give equal bytes. A build that is cut short leaves no corpus; the same
    command does it again. UsageError where `out` holds a corpus or anything else already, LockedError while
    another process builds there, DiskFull with the bytes that are missing.
    """
    for source in sources:
        # A misspelt name leaves no folder behind.
        expand(source)
    with building_corpus(out) as folder:
        built = build_store(sources, folder, vocabulary, field=field, workers=workers, progress=progress)
        vocabulary.save(folder / VOCABULARY_FOLDER)
    return built


def build_store(
    sources: Sequence[Path],
    folder: Path,
    vocabulary: Vocabulary,
    *,
    field: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """Write a store (without its vocabulary) into `folder`, an empty folder, and bring it to the disk.

    field    of records that holds the text; None takes the first of text, input, content and document
    workers  processes that tokenize; None takes one for each core where that is worth their start

    MissingError where the sources hold no document. What is held in memory is a few MiB a worker; a document
    that the tokenizer cannot cut into parts alike (see `cut_for`) is held whole.
    """
    found = find_source_files(sources)
    built = build_store_of(found.files, folder, vocabulary, field=field, workers=workers, progress=progress)
    return replace(built, passed_over=(*found.passed_over, *built.passed_over))


def build_store_of(
    files: Sequence[SourceFile],
    folder: Path,
    vocabulary: Vocabulary,
    *,
    field: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    documents: range | None = None,
) -> Built:
    """As `build_store`, of files that are found already, and of them the `documents` with these numbers."""
    num_bytes = sum(file.size for file in files)
    reader = SourceReader(field, cut_for(vocabulary), skips_mark=vocabulary.kind == "tokenizer")
    writer = StoreWriter(folder, vocabulary.facts)
    numbering = _Numbering(writer)
    try:
        with room_for(writer), (progress or Silent()).task("read", num_bytes / _MB, "MB") as task:
            batches = _batches(reader, files, documents)
            for batch, encoded in encode_batches(
                batches, vocabulary, _num_workers(workers, num_bytes), folder
            ):
                writer.append(encoded, numbering.rows(batch.placed, encoded))
                task.advance(batch.read_bytes / _MB)
                writer.share_done += batch.read_bytes / max(num_bytes, 1)
            facts = writer.finish()
    finally:
        writer.close()
    if not facts.num_documents:
        more = f" and {len(files) - 1:,} more files" if len(files) > 1 else ""
        raise MissingError(f"No text in {files[0].path}{more}: nothing to build from.")
    write_corpus_facts(folder, facts)
    return Built(facts, numbering.num_sources, num_bytes, tuple(reader.passed_over))


class _Batch(NamedTuple):
    """`read_bytes`: by how much of the files reading went on for it."""

    placed: list[PlacedPiece]
    read_bytes: float


def _chosen(
    reader: SourceReader, files: Sequence[SourceFile], documents: range | None
) -> Iterator[PlacedPiece]:
    number = -1
    for placed in reader.read(files):
        number += placed.piece.is_first
        if documents is None or number in documents:
            yield placed
        elif number >= documents.stop:
            return


def _batches(
    reader: SourceReader, files: Sequence[SourceFile], documents: range | None
) -> Iterator[tuple[_Batch, Sequence[Piece]]]:
    held: list[PlacedPiece] = []
    num_bytes, told = 0, 0.0
    for placed in _chosen(reader, files, documents):
        held.append(placed)
        num_bytes += len(placed.piece.content)
        if num_bytes >= _BATCH_BYTES or len(held) == _BATCH_PIECES:
            yield _Batch(held, reader.done_bytes - told), [each.piece for each in held]
            held, num_bytes, told = [], 0, reader.done_bytes
    if held:
        yield _Batch(held, reader.done_bytes - told), [each.piece for each in held]


class _Numbering:
    """Rows of documents, whose sources get their numbers in the order in which they come."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self._source: Source | None = None
        self.num_sources = 0

    def rows(self, placed: Sequence[PlacedPiece], encoded: EncodedBatch) -> Rows:
        firsts = [number for number, each in enumerate(placed) if each.piece.is_first]
        rows = np.zeros(len(firsts), DOCUMENT_ROW)
        rows["first_symbol"] = encoded.piece_starts[firsts]
        rows["byte_start"] = [placed[number].byte_start for number in firsts]
        rows["record"] = [placed[number].record for number in firsts]
        rows["source"] = [self._number(placed[number].source) for number in firsts]
        return rows

    def _number(self, source: Source) -> int:
        if source is not self._source:
            self._source = source
            self._writer.add_source(source)
            self.num_sources += 1
        return self.num_sources - 1


def _num_workers(workers: int | None, num_bytes: int) -> int:
    if workers is None:
        most = len(os.sched_getaffinity(0))
        return max(1, min(most, num_bytes // _MIN_BYTES_A_WORKER))
    if not 1 <= workers <= MAX_WORKERS:
        raise ConfigError(f"workers is {workers}; it must be in [1, {MAX_WORKERS}].")
    return workers
