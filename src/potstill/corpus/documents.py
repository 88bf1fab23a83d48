"""Documents of a corpus one after another, each with the place it came from; only one is held at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.corpus.files import find_files
from potstill.errors import MissingError, UsageError
from potstill.records.formats import require_format
from potstill.records.lines import Line, read_lines
from potstill.records.read import Record, place_of, read_numbered
from potstill.records.streams import reading

DEFAULT_FIELDS = ("text", "input", "content", "document")
# A text file longer than this is handed out in parts, cut at a blank line or, failing that, at a line break.
_PART_CHARS = 1 << 20
_LONGEST_PART_CHARS = 4 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it stands.

    path        the file
    record      its number in the file, from 0: a record, or a part of a long plain text
    line        the line it begins in, from 1; None for Parquet
    char_start  characters of the file before it, without a byte order mark; None unless plain text
    byte_start  bytes of the (decompressed) file before it; None unless plain text
    """

    text: str
    path: Path
    record: int
    line: int | None = None
    char_start: int | None = None
    byte_start: int | None = None

    def byte_span(self, start: int, end: int) -> tuple[int, int] | None:
        """The bytes of the file that hold text[start:end]; None where the file holds them in another form."""
        if self.byte_start is None:
            return None
        first = self.byte_start + len(self.text[:start].encode())
        return first, first + len(self.text[start:end].encode())


def read_documents(paths: Sequence[Path], field: str | None = None) -> Iterator[Document]:
    """Every document of the files, folders and patterns in `paths`, in a fixed order.

    A .txt or .md file is a document. In records the text is in `field`, or in the first of `text`, `input`,
    `content` and `document` that a record has. Texts of white space alone are passed over; MissingError if
    nothing else is found.
    """
    num_documents = 0
    files = find_files(paths).files
    for path in files:
        for document in _read_file(path, field):
            if document.text.strip():
                num_documents += 1
                yield document
    if not num_documents:
        raise MissingError(
            f"No text in {', '.join(map(str, paths)) or 'an empty list of paths'}: nothing to read."
        )


def _read_file(path: Path, field: str | None) -> Iterator[Document]:
    found = require_format(path)
    if found.kind == "text":
        with reading(path, found.compression) as file:
            yield from _parts(read_lines(file, path), path)
        return
    for record in read_numbered(path):
        text = text_of(record, path, field)
        if text is not None:
            yield Document(text, path, record.position, record.line)


def _parts(lines: Iterator[Line], path: Path) -> Iterator[Document]:
    held: list[Line] = []
    num_chars, char_start, part = 0, 0, 0
    for line in lines:
        held.append(line)
        num_chars += len(line.text)
        is_blank = not line.text.strip()
        if num_chars >= (_PART_CHARS if is_blank else _LONGEST_PART_CHARS):
            yield _part(held, path, part, char_start)
            char_start += num_chars
            held, num_chars, part = [], 0, part + 1
    if held:
        yield _part(held, path, part, char_start)


def _part(lines: list[Line], path: Path, part: int, char_start: int) -> Document:
    text = "".join(line.text for line in lines)
    return Document(text, path, part, lines[0].number, char_start, lines[0].byte_start)


def text_of(record: Record, path: Path, field: str | None) -> str | None:
    """The record's text, or None where it is null."""
    wanted = (field,) if field else DEFAULT_FIELDS
    name = next((name for name in wanted if name in record.values), None)
    if name is None:
        raise UsageError(
            f"{place_of(path, record)} has no field {' or '.join(wanted)}; it has "
            f"{', '.join(map(str, record.values)) or 'none'}. Name the field that holds the text."
        )
    text = record.values[name]
    if text is not None and not isinstance(text, str):
        raise UsageError(
            f"{place_of(path, record)}: {name} is a {type(text).__name__}, not text. Name another field."
        )
    return text
