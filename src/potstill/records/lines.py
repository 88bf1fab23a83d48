"""Lines of UTF-8 text with their numbers and places; what is not UTF-8 is an error that names its line."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from potstill.errors import DamagedError

MAX_LINE_BYTES = 1 << 28
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """`text` with its line ending; `number` from 1; `byte_start` in the decompressed file."""

    text: str
    number: int
    byte_start: int


def read_lines(file: BinaryIO, path: Path) -> Iterator[Line]:
    """Lines divided at `\\n` alone; a byte order mark at the beginning is left out."""
    byte_start = 0
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise DamagedError(f"{path}, line {number} is longer than {MAX_LINE_BYTES >> 20} MiB. Divide it.")
        skipped = len(_BYTE_ORDER_MARK) if number == 1 and raw.startswith(_BYTE_ORDER_MARK) else 0
        yield Line(_decode(raw[skipped:], path, number), number, byte_start + skipped)
        byte_start += len(raw)


def _decode(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DamagedError(
            f"{path}, line {number} is not UTF-8: byte {error.start + 1} of the line is "
            f"0x{raw[error.start]:02x}. Convert the file, for example with `iconv -f latin1 -t utf-8`."
        ) from None
