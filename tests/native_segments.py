"""Segments on the disk made the slow, obvious way, opened by the native reader alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.naive_build import naive_files, narrowest, packed_symbols, symbols_of
from potstill._native import Reader, Segment, crc32c_blocks

Documents = Sequence[Sequence[int]]


def document_rows(documents: Documents) -> bytes:
    row = np.dtype([("first", "<u8"), ("bytes", "<u8"), ("source", "<u4"), ("record", "<u4")])
    rows = np.zeros(len(documents) + 1, row)
    rows["first"][1:] = np.cumsum([len(ids) + 1 for ids in documents])
    rows["bytes"][:-1] = rows["first"][:-1] * 3
    rows["source"][:-1] = 7
    rows["record"][:-1] = range(len(documents))
    return rows.tobytes()


def write_segment(
    folder: Path, documents: Documents, vocab_size: int, *, width: int | None = None, tables: bool = True
) -> dict[str, Any]:
    """The files in `folder`; returns what Segment is opened with beside their sizes and checksums."""
    width = width or narrowest(vocab_size)
    symbols = symbols_of(documents)
    files = {
        "tokens.bin": packed_symbols(symbols, width),
        "documents.bin": document_rows(documents),
        **naive_files(symbols, vocab_size, width, tables=tables),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {
        "symbol_bytes": width,
        "num_symbols": len(symbols),
        "num_tokens": len(symbols) - len(documents),
        "num_documents": len(documents),
        "vocab_size": vocab_size,
        "position_bits": max((max(len(symbols), 1) - 1).bit_length(), 1),
        "num_bigrams": (len(files["bigram_seconds.bin"]) - 8) // width if tables else None,
    }


def recorded(folder: Path) -> dict[str, Any]:
    """Sizes and checksums of the files as they are now."""
    paths = sorted(folder.iterdir())
    return {
        "files": {path.name: path.stat().st_size for path in paths},
        "checksums": {path.name: crc32c_blocks(path) for path in paths},
    }


def make_segment(folder: Path, documents: Documents, vocab_size: int, **options: Any) -> Segment:
    shape = write_segment(folder, documents, vocab_size, **options)
    return Segment(folder, **shape, **recorded(folder))


def make_reader(
    folder: Path, parts: Sequence[tuple[Documents, int]], vocab_size: int, **options: Any
) -> Reader:
    """A segment of documents with its sign for each part."""
    segments = [
        make_segment(folder / str(number), documents, vocab_size, **options)
        for number, (documents, _) in enumerate(parts)
    ]
    return Reader(segments, [sign for _, sign in parts])


def ragged(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """ids uint32 and starts int64, as the batches of the reader take them."""
    ids = np.array([token for row in rows for token in row], np.uint32)
    return ids, np.cumsum([0, *map(len, rows)], dtype=np.int64)
