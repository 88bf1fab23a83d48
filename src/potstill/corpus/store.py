"""Reading a store: its tokens, its documents, and the bytes of the sources they came from.

Everything is mapped and checked block by block at first use. No object is kept for a document or a source, so
a store of many millions of documents opens at once.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from potstill.corpus.byte_offsets import ByteOffsets
from potstill.corpus.checked_file import CheckedFile
from potstill.corpus.checksums import read_checksums, verify_file
from potstill.corpus.manifest import (
    DOCUMENT_BYTES,
    DOCUMENT_ROW,
    DOCUMENTS,
    OFFSETS,
    SOURCES,
    TOKENS,
    VOCABULARY_FOLDER,
    StoreFacts,
    read_corpus_facts,
)
from potstill.corpus.symbols import read_symbols
from potstill.corpus.vocabulary import Ids, Vocabulary, load_vocabulary
from potstill.errors import DamagedError, UsageError
from potstill.records.formats import Compression, Kind

_MAX_SOURCE_BYTES = 1 << 20
_CHUNK_DOCUMENTS = 1 << 16


class DocumentRow(NamedTuple):
    """Where a document stands in the stream and in its source; see docs/formats/corpus.md.

    first_symbol  of its tokens; stop_symbol is where its end stands
    byte_start    bytes of the source before its text; 0 in a file of records
    source        number of its source
    record        its number in the source, 0 for a whole file
    """

    first_symbol: int
    stop_symbol: int
    byte_start: int
    source: int
    record: int

    @property
    def num_tokens(self) -> int:
        return self.stop_symbol - self.first_symbol


class Source(NamedTuple):
    """A file of the corpus: how it was read (text, jsonl, csv, parquet), and its bytes on the disk."""

    path: Path
    kind: Kind
    compression: Compression
    bytes: int


class Provenance(NamedTuple):
    """The bytes [byte_start, byte_stop) that tokens came from.

    They count in the (decompressed) file of a whole-file document, and in the UTF-8 text of the record
    otherwise. `exact` says that the tokens spell these very bytes; where it is False the tokenizer changed
    the text (case, Unicode form, bytes that were no UTF-8), and these are the bytes they were made from.
    """

    path: Path
    record: int
    byte_start: int
    byte_stop: int
    exact: bool
    kind: str = "text"


class Store:
    """A store opened for reading. Raises MissingError and DamagedError, naming file and byte offset."""

    def __init__(
        self, folder: Path, *, vocabulary: Vocabulary | None = None, facts: StoreFacts | None = None
    ) -> None:
        """`facts` are those of corpus.json unless given; `vocabulary` is loaded when it is first needed."""
        self.folder = folder
        self.facts = facts or read_corpus_facts(folder)
        self._vocabulary = vocabulary
        sums = read_checksums(folder, self.facts.checked)
        self._sums = sums
        self._files = {
            name: CheckedFile(folder / name, self.facts.files[name], sums[name])
            for name in (TOKENS, DOCUMENTS, OFFSETS, SOURCES)
            if name in self.facts.files
        }

    @property
    def num_documents(self) -> int:
        return self.facts.num_documents

    @property
    def num_tokens(self) -> int:
        return self.facts.num_tokens

    @property
    def num_symbols(self) -> int:
        return self.facts.num_symbols

    @property
    def num_sources(self) -> int:
        return len(self._source_ends)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """DamagedError where the vocabulary beside the store is not the one it was made with."""
        vocabulary = self._vocabulary or load_vocabulary(self.folder / VOCABULARY_FOLDER)
        if vocabulary.facts != self.facts.vocabulary:
            raise DamagedError(
                f"{self.folder} was made with another vocabulary than the one beside it. Copy it again whole."
            )
        return vocabulary

    def symbols(self, first: int, stop: int) -> Ids:
        """Symbols [first, stop) of the stream: token id + 1, and 0 where a document ends."""
        width = self.facts.symbol_bytes
        return read_symbols(self._files[TOKENS].read(first * width, stop * width), width)

    def tokens(self, document: int, first: int = 0, stop: int | None = None) -> Ids:
        """Token ids [first, stop) of a document, all unless said; the ends are cut to the document."""
        row = self.document(document)
        stop = row.num_tokens if stop is None else min(stop, row.num_tokens)
        first = min(max(first, 0), stop)
        symbols = self.symbols(row.first_symbol + first, row.first_symbol + stop)
        if len(symbols) and not symbols.all():
            raise self._contradiction(document)
        return symbols - np.uint32(1)

    def each_document(self) -> Iterator[Ids]:
        """The token ids of every document, in order; a few MiB are read at a time."""
        for first in range(0, self.num_documents, _CHUNK_DOCUMENTS):
            stop = min(first + _CHUNK_DOCUMENTS, self.num_documents)
            firsts = self.documents(first, stop + 1)["first_symbol"].tolist()
            for document in range(first, stop):
                begin, end = firsts[document - first], firsts[document - first + 1] - 1
                if not 0 <= begin <= end < self.num_symbols:
                    raise self._contradiction(document)
                yield self.symbols(begin, end) - np.uint32(1)

    def document(self, document: int) -> DocumentRow:
        """UsageError unless 0 <= document < num_documents."""
        if not 0 <= document < self.num_documents:
            raise UsageError(f"There is no document {document}; there are {self.num_documents:,}, from 0.")
        row, following = self._rows(document, document + 2)
        first, stop = int(row["first_symbol"]), int(following["first_symbol"]) - 1
        if not 0 <= first <= stop < self.num_symbols:
            raise self._contradiction(document)
        return DocumentRow(first, stop, int(row["byte_start"]), int(row["source"]), int(row["record"]))

    def documents(self, first: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Rows [first, stop) of documents.bin: first_symbol, byte_start, source, record.

        With `stop` left out the last row is the one behind the last document.
        """
        return self._rows(first, self.num_documents + 1 if stop is None else stop)

    def document_at(self, symbol: int) -> int:
        """The document whose tokens or end stand at that place of the stream."""
        if not 0 <= symbol < self.num_symbols:
            raise UsageError(f"There is no symbol {symbol}; there are {self.num_symbols:,}, from 0.")
        low, high = 0, self.num_documents
        while high - low > 1:
            middle = (low + high) // 2
            is_before = int(self._rows(middle, middle + 1)[0]["first_symbol"]) <= symbol
            low, high = (middle, high) if is_before else (low, middle)
        return low

    def source(self, source: int) -> Source:
        """DamagedError unless 0 <= source < num_sources: only a row of a document names one."""
        if not 0 <= source < self.num_sources:
            raise DamagedError(f"{self.folder / DOCUMENTS} names a source {source} that is not there.")
        start = int(self._source_ends[source - 1]) + 1 if source else 0
        line = self._files[SOURCES].read(start, int(self._source_ends[source]))
        try:
            told = json.loads(line.tobytes()[:_MAX_SOURCE_BYTES])
            # Escaped to ASCII in the file, a path that is not UTF-8 comes back as the bytes it was.
            found = Source(Path(told["path"]), told["kind"], told["compression"], int(told["bytes"]))
            if found.kind in get_args(Kind) and found.compression in get_args(Compression):
                return found
        except (ValueError, KeyError, TypeError):
            pass
        raise DamagedError(
            f"{self.folder / SOURCES}, byte {start:,}: no source stands there. Build it again."
        )

    def locate(self, document: int, first_token: int, num_tokens: int) -> Provenance:
        """Where `num_tokens` tokens of a document, from `first_token` on, stand in its source.

        UsageError unless they lie in the document; no tokens stand where the next one begins.
        """
        row = self.document(document)
        if min(first_token, num_tokens) < 0 or first_token + num_tokens > row.num_tokens:
            raise UsageError(
                f"Document {document} has {row.num_tokens:,} tokens; {num_tokens:,} from {first_token:,} "
                f"on were asked for."
            )
        source = self.source(row.source)
        first = row.first_symbol + first_token
        span = self.offsets.span(row.first_symbol, first, first + num_tokens)
        start, stop = row.byte_start + span.start, row.byte_start + span.stop
        return Provenance(source.path, row.record, start, stop, span.exact, source.kind)

    def verify(self) -> None:
        """Compare every block of every file with its checksum."""
        for name, sums in self._sums.items():
            verify_file(self.folder / name, sums)

    @cached_property
    def offsets(self) -> ByteOffsets:
        """Byte offsets of tokens within their documents."""
        file = self._files.get(OFFSETS)
        return ByteOffsets(file, self.num_symbols, self.symbols, lambda: self.vocabulary)

    def _rows(self, first: int, stop: int) -> npt.NDArray[Any]:
        content = self._files[DOCUMENTS].read(first * DOCUMENT_BYTES, stop * DOCUMENT_BYTES)
        return content.view(np.dtype(DOCUMENT_ROW))

    @cached_property
    def _source_ends(self) -> npt.NDArray[np.int64]:
        file = self._files[SOURCES]
        return np.flatnonzero(file.read(0, file.size) == ord("\n"))

    def _contradiction(self, document: int) -> DamagedError:
        return DamagedError(
            f"{self.folder / DOCUMENTS}, byte {document * DOCUMENT_BYTES:,}: the row of document "
            f"{document:,} does not fit {TOKENS}. Build it again."
        )
