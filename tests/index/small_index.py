"""Whole indexes on the disk from lists of token ids, of any vocabulary size, made without the builder."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from index.naive import Naive
from index.naive_build import naive_files, narrowest, symbols_of
from potstill import _native
from potstill.corpus.manifest import DOCUMENT_ROW
from potstill.corpus.vocabulary import ByteVocabulary, VocabularyFacts
from potstill.files import sha256_of
from potstill.index.manifest import Manifest, SegmentEntry, write_manifest
from potstill.index.open import OpenIndex, open_segment
from potstill.index.reader import Index
from potstill.index.segment_files import HEADER, DeletedRun, seal_segment

Ids = Sequence[int]
# Above, the obvious sort takes too long.
_NAIVE_SYMBOLS = 200


class NumberVocabulary(ByteVocabulary):
    """Tokens that stand for the byte of their id, or for nothing from 256 on; text is cut into bytes."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.fingerprint = hashlib.sha256(f"numbers {vocab_size}".encode()).hexdigest()

    @property
    def facts(self) -> VocabularyFacts:
        return VocabularyFacts("bytes", self.vocab_size, self.fingerprint)

    def bytes_of(self, ids) -> bytes:  # type: ignore[no-untyped-def]
        return b"".join(map(self.token_bytes, np.asarray(ids).tolist()))


def write_index(
    folder: Path,
    segments: Sequence[Sequence[Ids]],
    deleted: frozenset[int] = frozenset(),
    *,
    vocab_size: int,
    tables: bool = True,
) -> Manifest:
    """An index of `segments`, lists of documents, where the documents with the `deleted` numbers are."""
    # Hundreds of indexes are written, none of which has to outlive a power cut.
    with patch("os.fsync"):
        return _write_index(folder, segments, deleted, vocab_size, tables)


def _write_index(
    folder: Path,
    segments: Sequence[Sequence[Ids]],
    deleted: frozenset[int],
    vocab_size: int,
    tables: bool,
) -> Manifest:
    facts = NumberVocabulary(vocab_size).facts
    entries = [
        _write_segment(folder, number, documents, facts, tables=tables)
        for number, documents in enumerate(segments)
    ]
    places = [(at, number) for at, documents in enumerate(segments) for number in range(len(documents))]
    gone = [places[number] for number in sorted(deleted)]
    if gone:
        runs = tuple(DeletedRun(entries[at].name, number, 1) for at, number in gone)
        copies = [segments[at][number] for at, number in gone]
        entries.append(_write_segment(folder, len(entries), copies, facts, deletes=runs, tables=tables))
    manifest = Manifest(1, tuple(entries), facts, "0" * 64)
    write_manifest(folder, manifest)
    return manifest


def open_index(folder: Path, manifest: Manifest) -> Index:
    vocabulary = NumberVocabulary(manifest.vocabulary.vocab_size)
    segments = tuple(open_segment(folder, entry, vocabulary) for entry in manifest.segments)
    return Index(OpenIndex(folder, manifest, vocabulary, segments))


def small_index(
    folder: Path,
    segments: Sequence[Sequence[Ids]],
    deleted: frozenset[int] = frozenset(),
    *,
    vocab_size: int,
    tables: bool = True,
) -> Index:
    return open_index(folder, write_index(folder, segments, deleted, vocab_size=vocab_size, tables=tables))


def naive_of(segments: Sequence[Sequence[Ids]], deleted: frozenset[int] = frozenset()) -> Naive:
    return Naive([ids for documents in segments for ids in documents], deleted)


def _write_segment(
    index: Path,
    number: int,
    documents: Sequence[Ids],
    vocabulary: VocabularyFacts,
    *,
    deletes: tuple[DeletedRun, ...] = (),
    tables: bool,
) -> SegmentEntry:
    name = f"{number + 1:06d}-{number:08x}"
    folder = index / "segments" / name
    folder.mkdir(parents=True)
    width = narrowest(vocabulary.vocab_size)
    symbols = symbols_of(documents)
    little_endian = np.array(symbols, "<u4").reshape(-1, 1).view(np.uint8)
    (folder / "tokens.bin").write_bytes(little_endian[:, :width].tobytes() + bytes(8))
    _write_documents(folder, documents)
    facts = {
        "num_documents": len(documents),
        "num_tokens": len(symbols) - len(documents),
        "num_symbols": len(symbols),
        "symbol_bytes": width,
        "vocabulary": vocabulary,
        "deletes": deletes,
    }
    num_bigrams = _write_suffixes(folder, symbols, len(documents), vocabulary.vocab_size, width, tables)
    seal_segment(folder, facts, num_bigrams=num_bigrams)
    return SegmentEntry(
        name=name,
        sign=-1 if deletes else 1,
        sha256=sha256_of(folder / HEADER),
        num_documents=len(documents),
        num_tokens=facts["num_tokens"],  # type: ignore[arg-type]
    )


def _write_documents(folder: Path, documents: Sequence[Ids]) -> None:
    rows = np.zeros(len(documents) + 1, DOCUMENT_ROW)
    rows["first_symbol"] = np.cumsum([0, *(len(ids) + 1 for ids in documents)])
    rows["record"][:-1] = range(len(documents))
    (folder / "documents.bin").write_bytes(rows.tobytes())
    source = {"path": "numbers.jsonl", "kind": "jsonl", "compression": "none", "bytes": 0}
    (folder / "sources.jsonl").write_text(json.dumps(source) + "\n")


def _write_suffixes(
    folder: Path, symbols: Sequence[int], num_documents: int, vocab_size: int, width: int, tables: bool
) -> int | None:
    """The number of bigrams; None without tables."""
    if len(symbols) > _NAIVE_SYMBOLS:
        work = _native.Work()
        found = _native.build_suffixes(
            folder,
            symbol_bytes=width,
            num_symbols=len(symbols),
            num_documents=num_documents,
            vocab_size=vocab_size,
            with_tables=tables,
            threads=1,
            work=work,
        )
        return found if tables else None
    files = naive_files(symbols, vocab_size, width, tables=tables)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return (len(files["bigram_seconds.bin"]) - 8) // width if tables else None
