"""Symbols (token id + 1, and 0 where a document ends) at the width they have on the disk."""

import numpy as np
import numpy.typing as npt

from potstill.corpus.vocabulary import Ids

Bytes = npt.NDArray[np.uint8]


def bytes_for(vocab_size: int) -> int:
    """The narrowest of 1, 2, 3 and 4 bytes that holds the symbols 0 to vocab_size."""
    return next(width for width in (1, 2, 3, 4) if vocab_size < 1 << 8 * width)


def read_symbols(content: Bytes, width: int) -> Ids:
    """The symbols that `content` holds, `width` bytes each, lowest byte first."""
    if width != 3:
        return content.view(f"<u{width}").astype(np.uint32)
    wide = np.zeros((len(content) // 3, 4), np.uint8)
    wide[:, :3] = content.reshape(-1, 3)
    return wide.reshape(-1).view("<u4").astype(np.uint32, copy=False)


def symbol_bytes(symbols: npt.NDArray[np.unsignedinteger], width: int) -> bytes:
    """The inverse of `read_symbols`; the symbols must fit."""
    if width != 3:
        return symbols.astype(f"<u{width}").tobytes()
    return symbols.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
