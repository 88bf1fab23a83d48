"""How a stream of symbols is cut so that each part can be sorted within the memory there is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.errors import RefusedError

# A part's ranks are 32-bit numbers, and what is sorted beyond its end counts too.
_MOST_PART_SYMBOLS = 2**32 - 2**24


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

    first_symbols [num_documents + 1]: where each document begins, and the number of symbols at the end.
    """
    most = min(part_symbols, _MOST_PART_SYMBOLS)
    if most < 1:
        raise RefusedError("The memory is too little to sort even one symbol. Give more: --memory 1GB")
    borders = first_symbols
    parts, first, end = list[Part](), 0, int(borders[-1])
    while first < end:
        reach = int(borders[np.searchsorted(borders, first + most, side="right") - 1])
        stop = reach if reach > first else min(first + most, end)
        parts.append(Part(first, stop, reach <= first and stop not in borders))
        first = stop
    return parts
