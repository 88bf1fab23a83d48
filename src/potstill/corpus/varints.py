"""Unsigned LEB128 over whole arrays: seven bits a byte, the lowest first, the high bit where more follow.

A signed number is made unsigned by zigzag: 0, -1, 1, -2 become 0, 1, 2, 3.
"""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Signed = npt.NDArray[np.int64]
_MOST_BYTES = 9


def zigzag(values: Signed) -> Signed:
    """For values of less than 2**62 either way."""
    return (values << 1) ^ (values >> 63)


def unzigzag(values: Signed) -> Signed:
    return (values >> 1) ^ -(values & 1)


def num_varint_bytes(values: Signed) -> Signed:
    """How many bytes each value takes; values are in [0, 2**63)."""
    sizes = np.ones(len(values), np.int64)
    for place in range(1, _MOST_BYTES):
        sizes += values >= 1 << 7 * place
    return sizes


def encode_varints(values: Signed) -> Bytes:
    sizes = num_varint_bytes(values)
    ends = np.cumsum(sizes)
    encoded = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - sizes
    for place in range(int(sizes.max(initial=0))):
        has_byte = sizes > place
        more = np.where(sizes[has_byte] > place + 1, 0x80, 0)
        encoded[starts[has_byte] + place] = (values[has_byte] >> 7 * place) & 0x7F | more
    return encoded


def decode_varints(encoded: Bytes) -> Signed | None:
    """The values; None where the bytes end inside a value or hold one of more than nine bytes."""
    ends = np.flatnonzero(encoded < 0x80)
    if not len(encoded):
        return np.zeros(0, np.int64)
    if not len(ends) or ends[-1] != len(encoded) - 1:
        return None
    starts = np.concatenate(([0], ends[:-1] + 1))
    if int((ends - starts).max()) >= _MOST_BYTES:
        return None
    place = np.arange(len(encoded)) - np.repeat(starts, ends - starts + 1)
    parts = (encoded & 0x7F).astype(np.int64) << 7 * place
    return np.add.reduceat(parts, starts)
