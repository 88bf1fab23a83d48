"""The files of a segment: their names, their sizes as they follow from its header, their checksums.

A segment never changes once it has its name. docs/formats/index.md tells the bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from potstill.corpus.checksums import CHECKSUMS_FILE, Sums, read_checksums, write_checksums
from potstill.corpus.manifest import PADDING_BYTES, StoreFacts
from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import ConfigError, MissingError
from potstill.index.manifest import read_content
from potstill.settings import to_table

SCHEMA = "potstill.segment/1"
HEADER = "segment.json"
SUFFIXES, UNIGRAMS = "suffixes.bin", "unigrams.bin"
BIGRAM_ROWS, BIGRAM_SECONDS, BIGRAM_RANKS = "bigram_rows.bin", "bigram_seconds.bin", "bigram_ranks.bin"
TABLES = (UNIGRAMS, BIGRAM_ROWS, BIGRAM_SECONDS, BIGRAM_RANKS)


@dataclass(frozen=True)
class DeletedRun:
    """Documents `first` to `first + count` of a segment, one after another, that a negative segment holds."""

    segment: str
    first: int
    count: int

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 1:
            raise ConfigError("a run of deleted documents is empty or begins below 0.")


@dataclass(frozen=True)
class SegmentHeader:
    """What `segment.json` says.

    symbol_bytes       1 to 4: bytes of a symbol in tokens.bin
    position_bits      bits of a position in suffixes.bin
    num_bigrams        entries of the bigram table, None without tables
    files              name and bytes of each file that checksums.bin covers, in its order
    checksums_crc32c   CRC-32C of each 64 KiB block of checksums.bin
    deletes            which documents a negative segment holds, in its order; empty in a positive one
    """

    num_documents: int
    num_tokens: int
    num_symbols: int
    symbol_bytes: int
    position_bits: int
    has_tables: bool
    num_bigrams: int | None
    vocabulary: VocabularyFacts
    files: dict[str, int]
    checksums_crc32c: tuple[int, ...]
    deletes: tuple[DeletedRun, ...] = ()

    def __post_init__(self) -> None:
        if problem := next(self._problems(), None):
            raise ConfigError(f"{problem}.")

    @cached_property
    def facts(self) -> StoreFacts:
        """What the store that a segment is says of itself."""
        return StoreFacts(
            self.num_documents,
            self.num_tokens,
            self.num_symbols,
            self.symbol_bytes,
            self.vocabulary,
            self.files,
            self.checksums_crc32c,
        )

    def _problems(self) -> Iterator[str]:
        assert self.facts
        if self.position_bits != position_bits(self.num_symbols):
            yield "positions have a wrong width"
        if self.has_tables != (self.num_bigrams is not None) or (self.num_bigrams or 0) < 0:
            yield "num_bigrams and has_tables contradict each other"
        if sum(run.count for run in self.deletes) not in (0, self.num_documents):
            yield "the deleted documents are not those of the segment"
        for name, size in self._expected_bytes().items():
            if self.files.get(name) != size:
                yield f"{name} must have {size} bytes, not {self.files.get(name)}"

    def _expected_bytes(self) -> dict[str, int]:
        sizes = {SUFFIXES: (self.num_tokens * self.position_bits + 7) // 8 + PADDING_BYTES}
        if self.num_bigrams is not None:
            rank_bytes = 4 if self.num_tokens < 2**32 else 8
            sizes[UNIGRAMS] = sizes[BIGRAM_ROWS] = (self.vocabulary.vocab_size + 1) * 8
            sizes[BIGRAM_SECONDS] = self.num_bigrams * self.symbol_bytes + PADDING_BYTES
            sizes[BIGRAM_RANKS] = self.num_bigrams * rank_bytes
        return sizes


def position_bits(num_symbols: int) -> int:
    """Bits that hold every position of a stream of so many symbols; at least 1."""
    return max((max(num_symbols, 1) - 1).bit_length(), 1)


def seal_segment(folder: Path, facts: Mapping[str, Any], *, num_bigrams: int | None) -> SegmentHeader:
    """Write `checksums.bin` and `segment.json` for the files that stand in `folder`.

    `facts` are num_documents, num_tokens, num_symbols, symbol_bytes, vocabulary, and deletes if there are.
    """
    names = {path.name for path in folder.iterdir()} - {HEADER, CHECKSUMS_FILE}
    checked = write_checksums(folder, sorted(names))
    header = SegmentHeader(
        **facts,
        position_bits=position_bits(facts["num_symbols"]),
        has_tables=num_bigrams is not None,
        num_bigrams=num_bigrams,
        files=checked.files,
        checksums_crc32c=checked.crc32c,
    )
    write_sealed(folder / HEADER, SCHEMA, to_table(header))
    return header


def read_header(folder: Path) -> SegmentHeader:
    """DamagedError, naming the segment's file, where it is altered, newer or contradicts itself."""
    path = folder / HEADER
    if not path.is_file():
        raise MissingError(f"The segment {folder} is gone or was never finished ({HEADER} is missing).")
    return read_content(SegmentHeader, read_sealed(path, SCHEMA), path)


def check_files(folder: Path, header: SegmentHeader) -> dict[str, Sums]:
    """The CRC-32C of every 64 KiB block of each file.

    MissingError or DamagedError, naming the file and the byte, where a file is not of its size or where the
    sums are not those that were written.
    """
    return read_checksums(folder, header.facts.checked)
