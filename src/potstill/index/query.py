"""What a caller asks for, as token ids: a text, bytes, a list of ids or an array of them."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.vocabulary import Vocabulary
from potstill.errors import UsageError

# A str or bytes is text; anything else holds token ids.
Query: TypeAlias = str | bytes | Sequence[int] | NDArray[np.integer]


_MOST = 2**62


class Ragged(NamedTuple):
    """Queries one after another: query b is ids[starts[b]:starts[b + 1]].

    ids     [M] uint32
    starts  [B + 1] int64, ascending, from 0 to M
    """

    ids: NDArray[np.uint32]
    starts: NDArray[np.int64]


def ids_of(query: Query, vocabulary: Vocabulary) -> list[int]:
    """Text is cut as the corpus was, with no special token and no space put before it."""
    if isinstance(query, str | bytes):
        return vocabulary.encode_query(query)
    if isinstance(query, np.ndarray):
        ids: list[int] = _checked_array(query).tolist()
    else:
        try:
            ids = [token_id.__index__() for token_id in query]
        except (TypeError, AttributeError):
            raise UsageError(
                f"A query is a text, bytes, or token ids, not {type(query).__name__} {query!r:.60}."
            ) from None
    if ids:
        _check_range(min(ids), max(ids), vocabulary.vocab_size)
    return ids


def at_least(name: str, value: int, least: int) -> int:
    """`value`, no larger than the native core takes; UsageError below `least`."""
    if value < least:
        raise UsageError(f"{name} is {value}; it must be at least {least}.")
    return min(value, _MOST)


def ragged(queries: Sequence[Query], vocabulary: Vocabulary, vocab_size: int) -> Ragged:
    rows = [ids_of(query, vocabulary) for query in queries]
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=starts[1:])
    return Ragged(uint32_ids([token_id for row in rows for token_id in row], vocab_size), starts)


def uint32_ids(ids: Sequence[int] | NDArray[np.integer], vocab_size: int) -> NDArray[np.uint32]:
    """[N] ids as the native core takes them; UsageError for one outside [0, vocab_size)."""
    try:
        array = ids if isinstance(ids, np.ndarray) else np.array(ids, np.int64)
    except OverflowError:
        _check_range(min(ids), max(ids), vocab_size)
        raise
    if array.dtype != np.uint32 or array.ndim != 1:
        # Narrowing to 32 bits would make another token of a number that does not fit.
        array = _checked_array(array)
        if array.size:
            _check_range(int(array.min()), int(array.max()), vocab_size)
    return np.ascontiguousarray(array, np.uint32)


def _check_range(lowest: int, highest: int, vocab_size: int) -> None:
    if not 0 <= lowest <= highest < vocab_size:
        raise UsageError(f"Token ids must be in [0, {vocab_size}); these go from {lowest} to {highest}.")


def _checked_array(array: NDArray[np.integer]) -> NDArray[np.integer]:
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(
            f"An array of token ids has one dimension and whole numbers, not {array.ndim} of {array.dtype}."
        )
    return array if array.size else array.astype(np.int64)
