"""Documents of files as exact bytes, in pieces of bounded size: what a store is tokenized from.

A plain text or source file is one document; a record of JSONL, CSV or Parquet is one. Empty documents count.
"""

import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from potstill.corpus.documents import DEFAULT_FIELDS, text_of
from potstill.corpus.encoding import Piece
from potstill.corpus.source_files import (
    HEAD_BYTES,
    PassedOver,
    SourceFile,
    is_never_text,
    looks_like_text,
    opening_problem,
    source_format,
)
from potstill.corpus.store import Source
from potstill.errors import DamagedError, UsageError
from potstill.records.read import read_numbered
from potstill.records.streams import reading

PIECE_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What text packs to, roughly: only for the time left.
_PACKED_SHARE = {"none": 1.0, "gz": 0.3, "zst": 0.3}

# The last place in some bytes of a document at which it may be cut, or None.
Cut = Callable[[bytes], int | None]


class PlacedPiece(NamedTuple):
    """A piece and where its document stands: `byte_start` bytes into the source, or in its record."""

    piece: Piece
    source: Source
    byte_start: int
    record: int


@dataclasses.dataclass
class SourceReader:
    """Reads files one after another.

    field          of records that holds the text; None takes the first of text, input, content, document
    cut            where long documents may be cut; None keeps them whole
    skips_mark     for a tokenizer: a byte order mark at a file's beginning is no part of its document
    passed_over    files that turned out to be no text, or that cannot be read any more
    done_bytes     of the files as they lie on the disk, about
    """

    field: str | None
    cut: Cut | None
    skips_mark: bool
    passed_over: list[PassedOver] = dataclasses.field(default_factory=list)
    done_bytes: float = 0

    def read(self, files: Sequence[SourceFile]) -> Iterator[PlacedPiece]:
        """MissingError and DamagedError name the file, and the line where there are lines."""
        for file in files:
            before = self.done_bytes
            for placed in self._read(file):
                yield placed
                share = _PACKED_SHARE[placed.source.compression]
                done = self.done_bytes + len(placed.piece.content) * share
                self.done_bytes = min(done, before + file.size)
            self.done_bytes = before + file.size

    def _read(self, file: SourceFile) -> Iterator[PlacedPiece]:
        if not file.is_named and (problem := opening_problem(file.path)):
            self._pass_over(file, problem)
            return
        found = source_format(file.path)
        kind = found.kind
        if kind != "text":
            problem = self._record_problem(file)
            if problem and kind == "parquet":
                self._pass_over(file, problem)
                return
            kind = "text" if problem else kind
        source = Source(file.path, kind, found.compression, file.size)
        yield from self._read_text(file, source) if kind == "text" else self._read_records(source)

    def _record_problem(self, file: SourceFile) -> str | None:
        """Why a file of records that was found in a folder is not read as such; None where it is.

        Folders of code hold tables and logs too. What the user named, or named a field for, must fit.
        """
        if file.is_named or self.field:
            return None
        try:
            first = next(read_numbered(file.path), None)
        except DamagedError as error:
            return str(error)
        if first is not None and not any(
            isinstance(first.values.get(name), str | None) and name in first.values for name in DEFAULT_FIELDS
        ):
            return f"no field {', '.join(DEFAULT_FIELDS)}"
        return None

    def _read_records(self, source: Source) -> Iterator[PlacedPiece]:
        for record in read_numbered(source.path):
            text = text_of(record, source.path, self.field)
            if text is not None:
                for piece in self._pieces(io.BytesIO(text.encode())):
                    yield PlacedPiece(piece, source, 0, record.position)

    def _packing_problem(self, file: SourceFile, source: Source) -> str | None:
        """Why a packed file that was found in a folder cannot be unpacked from its first byte on."""
        if file.is_named or source.compression == "none":
            return None
        try:
            with reading(source.path, source.compression) as stream:
                stream.read(1)
        except DamagedError as error:
            return str(error)
        return None

    def _read_text(self, file: SourceFile, source: Source) -> Iterator[PlacedPiece]:
        if problem := self._packing_problem(file, source):
            self._pass_over(file, problem)
            return
        with reading(source.path, source.compression) as stream:
            assert isinstance(stream, io.BufferedReader)
            head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
            if not self._takes(file, head):
                self._pass_over(file, "no text, by its first bytes")
                return
            skipped = len(_BYTE_ORDER_MARK) if self.skips_mark and head.startswith(_BYTE_ORDER_MARK) else 0
            stream.read(skipped)
            for piece in self._pieces(stream):
                yield PlacedPiece(piece, source, skipped, 0)

    def _takes(self, file: SourceFile, head: bytes) -> bool:
        """A file that was named is read if it can be: a NUL is no text to a tokenizer, but it is a byte."""
        if file.is_named:
            return not self.skips_mark or b"\0" not in head
        return not is_never_text(file.path) and looks_like_text(head)

    def _pieces(self, stream: BinaryIO) -> Iterator[Piece]:
        held, start = b"", 0
        # What cannot be cut is read in ever longer steps, so that a long document is not copied for each.
        while more := stream.read(max(PIECE_BYTES, len(held))):
            held += more
            place = self.cut(held) if self.cut and len(held) >= PIECE_BYTES else None
            if place:
                yield Piece(held[:place], start, start == 0, False)
                held, start = held[place:], start + place
        yield Piece(held, start, start == 0, True)

    def _pass_over(self, file: SourceFile, reason: str) -> None:
        if file.is_named:
            raise UsageError(f"{file.path} is not text ({reason}). Name text, or convert it to text first.")
        self.passed_over.append(PassedOver(file.path, reason.removeprefix(f"{file.path} ")))
