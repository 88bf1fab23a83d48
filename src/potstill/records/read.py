"""Records of a file one at a time, whatever its format: JSONL, Parquet, CSV, or text with a record a line.

JSONL, CSV and text may be compressed (.gz, .zst). Files are streamed: what is held is a record, for Parquet a
batch of rows. An object in a line of JSONL may hold anything; CSV fields are text.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from potstill.errors import DamagedError
from potstill.records.formats import Format, require_format
from potstill.records.lines import read_lines
from potstill.records.streams import reading

_PARQUET_ROWS = 256


class Record(NamedTuple):
    """One record: `position` from 0 in its file, `line` from 1 where the format has lines."""

    values: dict[str, Any]
    position: int
    line: int | None


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of `path` in order; PotstillError names the file, the line and what to do."""
    return (record.values for record in read_numbered(path))


def read_numbered(path: Path) -> Iterator[Record]:
    """The records of `path` with where they stand. A blank line is no record; text gives {"text": line}."""
    found = require_format(path)
    if found.kind == "parquet":
        yield from _read_parquet(path)
        return
    readers = {"jsonl": _read_jsonl, "csv": _read_csv, "text": _read_text}
    with reading(path, found.compression) as file:
        yield from readers[found.kind](file, path, found)


def place_of(path: Path, record: Record) -> str:
    """How messages name a record: by its line where there is one."""
    return f"{path}, line {record.line}" if record.line else f"{path}, record {record.position + 1}"


def _read_jsonl(file: BinaryIO, path: Path, _: Format) -> Iterator[Record]:
    position = 0
    for line in read_lines(file, path):
        if line.text.strip():
            yield Record(_parse_object(line.text, f"{path}, line {line.number}"), position, line.number)
            position += 1


def _parse_object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise DamagedError(f"{place} is not JSON ({error.msg}, column {error.colno}).") from None
    except UnicodeEncodeError:
        raise DamagedError(f"{place} holds half of a surrogate pair, which is no character.") from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{place} is not JSON that can be read ({error}).") from None
    if not isinstance(value, dict):
        raise DamagedError(f"{place} is a JSON {type(value).__name__}; a record is an object, {{...}}.")
    return value


def _read_text(file: BinaryIO, path: Path, _: Format) -> Iterator[Record]:
    position = 0
    for line in read_lines(file, path):
        text = line.text.rstrip("\r\n")
        if text.strip():
            yield Record({"text": text}, position, line.number)
            position += 1


def _read_csv(file: BinaryIO, path: Path, found: Format) -> Iterator[Record]:
    rows = csv.reader((line.text for line in read_lines(file, path)), delimiter=found.delimiter, strict=True)
    header: list[str] | None = None
    position, line = 0, 1
    try:
        for row in rows:
            if header is None:
                header = _checked_header(row, path)
            elif row:
                _check_width(row, header, f"{path}, line {line}")
                yield Record(dict(zip(header, row, strict=True)), position, line)
                position += 1
            line = rows.line_num + 1
    except csv.Error as error:
        advice = " Write long texts as .jsonl or .parquet." if "field limit" in str(error) else ""
        raise DamagedError(f"{path}, line {line} is not CSV ({error}).{advice}") from None


def _checked_header(row: list[str], path: Path) -> list[str]:
    if not all(row) or len(set(row)) != len(row):
        raise DamagedError(f"{path}, line 1 must name the columns, each once; it is {','.join(row)!r}.")
    return row


def _check_width(row: list[str], header: list[str], place: str) -> None:
    if len(row) != len(header):
        raise DamagedError(
            f"{place} has {len(row)} fields, the header names {len(header)}. Quote fields that hold commas."
        )


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path, "none") as file:
        position = 0
        try:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=_PARQUET_ROWS):
                for row in batch.to_pylist():
                    yield Record(row, position, None)
                    position += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedError(
                f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}). Copy or make it again."
            ) from None
