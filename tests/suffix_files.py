"""A segment of an index written the slow, obvious way, for tests of the native reader."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill._native import Reader, Segment, crc32c_blocks

DOCUMENT_END = 0


def symbols_of(documents: Sequence[Sequence[int]]) -> list[int]:
    return [symbol for ids in documents for symbol in [*(token + 1 for token in ids), DOCUMENT_END]]


def packed_symbols(symbols: Sequence[int], width: int) -> bytes:
    return b"".join(symbol.to_bytes(width, "little") for symbol in symbols) + bytes(8)


def narrowest(vocab_size: int) -> int:
    return next(width for width in (1, 2, 3, 4) if vocab_size < 256**width)


def sorted_suffixes(symbols: Sequence[int]) -> list[int]:
    def key(position: int) -> tuple[list[int], int]:
        return list(symbols[position : symbols.index(DOCUMENT_END, position)]), position

    return sorted((at for at, symbol in enumerate(symbols) if symbol != DOCUMENT_END), key=key)


def bit_packed(numbers: Sequence[int], bits: int) -> bytes:
    whole = sum(number << (bits * index) for index, number in enumerate(numbers))
    return whole.to_bytes((len(numbers) * bits + 7) // 8, "little") + bytes(8)


def tables(symbols: Sequence[int], ranked: Sequence[int], vocab_size: int, width: int) -> dict[str, bytes]:
    pairs = [(symbols[at] - 1, symbols[at + 1]) for at in ranked]
    heads = [rank for rank in range(len(pairs)) if rank == 0 or pairs[rank] != pairs[rank - 1]]
    ids = range(vocab_size + 1)
    return {
        "unigrams.bin": np.searchsorted([first for first, _ in pairs], ids).astype("<u8").tobytes(),
        "bigram_rows.bin": np.searchsorted([pairs[rank][0] for rank in heads], ids).astype("<u8").tobytes(),
        "bigram_seconds.bin": packed_symbols([pairs[rank][1] for rank in heads], width),
        "bigram_ranks.bin": np.array(heads, "<u4").tobytes(),
    }


def document_rows(documents: Sequence[Sequence[int]]) -> bytes:
    row = np.dtype([("first", "<u8"), ("bytes", "<u8"), ("source", "<u4"), ("record", "<u4")])
    rows = np.zeros(len(documents) + 1, row)
    rows["first"][1:] = np.cumsum([len(ids) + 1 for ids in documents])
    rows["bytes"][:-1] = rows["first"][:-1] * 3
    rows["record"][:-1] = range(len(documents))
    return rows.tobytes()


def write_segment(
    folder: Path,
    documents: Sequence[Sequence[int]],
    vocab_size: int,
    *,
    width: int | None = None,
    with_tables: bool = True,
) -> dict[str, Any]:
    """The files in `folder`; returns what Segment is opened with beside it, but for checksums and sizes."""
    width = width or narrowest(vocab_size)
    symbols = symbols_of(documents)
    ranked = sorted_suffixes(symbols)
    bits = max((max(len(symbols), 1) - 1).bit_length(), 1)
    files = {
        "tokens.bin": packed_symbols(symbols, width),
        "documents.bin": document_rows(documents),
        "suffixes.bin": bit_packed(ranked, bits),
    }
    if with_tables:
        files |= tables(symbols, ranked, vocab_size, width)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    num_bigrams = (len(files["bigram_seconds.bin"]) - 8) // width if with_tables else None
    return {
        "symbol_bytes": width,
        "num_symbols": len(symbols),
        "num_tokens": len(ranked),
        "num_documents": len(documents),
        "vocab_size": vocab_size,
        "position_bits": bits,
        "num_bigrams": num_bigrams,
    }


def sealed(folder: Path) -> dict[str, Any]:
    """Sizes and checksums of the files as they are now."""
    paths = sorted(folder.iterdir())
    return {
        "files": {path.name: path.stat().st_size for path in paths},
        "checksums": {path.name: crc32c_blocks(path) for path in paths},
    }


def open_segment(folder: Path, documents: Sequence[Sequence[int]], vocab_size: int, **options: Any) -> Segment:
    shape = write_segment(folder, documents, vocab_size, **options)
    return Segment(folder, **shape, **sealed(folder))


def open_reader(folder: Path, *parts: tuple[Sequence[Sequence[int]], int], vocab_size: int, **options: Any) -> Reader:
    """A segment of documents with its sign for each part."""
    segments = [
        open_segment(folder / str(number), documents, vocab_size, **options)
        for number, (documents, _) in enumerate(parts)
    ]
    return Reader(segments, [sign for _, sign in parts])
