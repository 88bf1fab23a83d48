"""How a stream of symbols is cut so that each part can be sorted within the memory there is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill import _native


class Part(NamedTuple):
    """Symbols `first` to `stop`; `ends_inside` where its end is not the end of a document."""

    first: int
    stop: int
    ends_inside: bool

    @property
    def file_name(self) -> str:
        return f"part-{self.first:015d}-{self.stop:015d}.bin"


def plan_parts(first_symbols: NDArray[np.int64], part_symbols: int) -> list[Part]:
    """Parts of at most `part_symbols` each, at document borders; only a longer document is cut inside.

    first_symbols [num_documents + 1]: where each document begins, and the number of symbols at the end. A
    part that is cut inside leaves a quarter of the room: sorting goes on beyond its end.
    """
    most, end = min(part_symbols, _native.MAX_PART_SYMBOLS), int(first_symbols[-1])
    # Parts of about one size rather than full ones and a small rest.
    even = -(-end // max(-(-end // most), 1))
    parts, first = list[Part](), 0
    while first < end:
        fitting = (_last_border(first_symbols, first + size) for size in (even, most))
        stop = next((border for border in fitting if border > first), None)
        ends_inside = stop is None
        if stop is None:
            stop = min(first + max(most * 3 // 4, 1), end)
        parts.append(Part(first, stop, ends_inside))
        first = stop
    return parts


def _last_border(first_symbols: NDArray[np.int64], limit: int) -> int:
    """The last end of a document up to `limit`."""
    return int(first_symbols[np.searchsorted(first_symbols, limit, side="right") - 1])
