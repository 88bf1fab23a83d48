"""The suffix files of a segment made the slow, obvious way: the native core must write these bytes."""

from collections.abc import Sequence

import numpy as np

END = 0


def symbols_of(documents: Sequence[Sequence[int]]) -> list[int]:
    """Token id + 1, and 0 after every document."""
    return [symbol for ids in documents for symbol in [*(token + 1 for token in ids), END]]


def packed_symbols(symbols: Sequence[int], width: int) -> bytes:
    return b"".join(symbol.to_bytes(width, "little") for symbol in symbols) + bytes(8)


def narrowest(vocab_size: int) -> int:
    """Bytes that hold the symbols 0 to vocab_size."""
    return next(width for width in (1, 2, 3, 4) if vocab_size < 256**width)


def sorted_suffixes(symbols: Sequence[int]) -> list[int]:
    """Positions of tokens, by what stands from there to the document's end, then by position."""

    def key(position: int) -> tuple[list[int], int]:
        return list(symbols[position : symbols.index(END, position) + 1]), position

    return sorted((at for at, symbol in enumerate(symbols) if symbol != END), key=key)


def bit_packed(numbers: Sequence[int], bits: int) -> bytes:
    """The lowest bit first, one number after another, and 8 bytes of zeros."""
    whole = sum(number << (bits * index) for index, number in enumerate(numbers))
    return whole.to_bytes((len(numbers) * bits + 7) // 8, "little") + bytes(8)


def naive_files(
    symbols: Sequence[int], vocab_size: int, width: int, *, tables: bool = True
) -> dict[str, bytes]:
    """suffixes.bin and, unless told otherwise, the tables."""
    ranked = sorted_suffixes(symbols)
    bits = max((max(len(symbols), 1) - 1).bit_length(), 1)
    files = {"suffixes.bin": bit_packed(ranked, bits)}
    return files | _tables(symbols, ranked, vocab_size, width) if tables else files


def _tables(symbols: Sequence[int], ranked: Sequence[int], vocab_size: int, width: int) -> dict[str, bytes]:
    firsts = [symbols[at] - 1 for at in ranked]
    pairs = [(symbols[at] - 1, symbols[at + 1]) for at in ranked]
    heads = [rank for rank in range(len(pairs)) if rank == 0 or pairs[rank] != pairs[rank - 1]]
    rank_type = "<u4" if len(ranked) < 2**32 else "<u8"
    tokens = range(vocab_size + 1)
    rows = [pairs[rank][0] for rank in heads]
    return {
        "unigrams.bin": np.searchsorted(firsts, tokens).astype("<u8").tobytes(),
        "bigram_rows.bin": np.searchsorted(rows, tokens).astype("<u8").tobytes(),
        "bigram_seconds.bin": packed_symbols([pairs[rank][1] for rank in heads], width),
        "bigram_ranks.bin": np.array(heads, rank_type).tobytes(),
    }
