"""A text as tokens, bytes and words at once: which tokens hold which words.

The bytes are those of the tokens, so that both sides of a comparison went through the same tokenizer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

# Scripts written without spaces, as they are spelt in UTF-8: each of their characters counts as a word.
_UNSPACED = rb"[\xe3-\xe9][\x80-\xbf]{2}|\xe0[\xb8-\xbb][\x80-\xbf]"
_WORD = re.compile(rb"%s|(?:(?!%s)\S)+" % (_UNSPACED, _UNSPACED))
_PIECE = re.compile(rb"%s|(?:(?!%s)[0-9A-Za-z_\x80-\xff])+|\S" % (_UNSPACED, _UNSPACED))


class Spells(Protocol):
    """The part of a vocabulary that is needed here."""

    @property
    def kind(self) -> str: ...

    def encode_query(self, text: str | bytes) -> list[int]: ...

    def token_bytes(self, token_id: int) -> bytes: ...


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """starts, stops [N] int64, ascending: where each piece of some content lies, in bytes."""

    starts: Int64s
    stops: Int64s

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, eq=False)
class Aligned:
    """ids [T] uint32; content: the tokens' bytes; tokens: where each of them lies in it."""

    ids: NDArray[np.uint32]
    content: bytes
    tokens: Borders

    @cached_property
    def words(self) -> Borders:
        """Runs without white space; in scripts that do not space their words, characters."""
        return _borders(_WORD, self.content)

    @cached_property
    def pieces(self) -> Borders:
        """As `words`, with every ASCII punctuation mark on its own."""
        return _borders(_PIECE, self.content)

    def tokens_over(self, first: Int64s, stop: Int64s) -> Borders:
        """The tokens that hold any of the bytes [first, stop), for each of many such ranges."""
        starts = np.searchsorted(self.tokens.stops, first, side="right")
        return Borders(starts, np.searchsorted(self.tokens.starts, stop, side="left"))

    def text(self, first_token: int, stop_token: int) -> str:
        if first_token >= stop_token:
            return ""
        start, stop = self.tokens.starts[first_token], self.tokens.stops[stop_token - 1]
        return self.content[start:stop].decode(errors="replace")


def align(vocabulary: Spells, text: str | bytes) -> Aligned:
    return align_ids(vocabulary, vocabulary.encode_query(text))


def align_ids(vocabulary: Spells, ids: Sequence[int]) -> Aligned:
    array = np.asarray(ids, dtype=np.uint32)
    if vocabulary.kind == "bytes":
        starts = np.arange(len(array))
        return Aligned(array, array.astype(np.uint8).tobytes(), Borders(starts, starts + 1))
    spelt = [vocabulary.token_bytes(token_id) for token_id in ids]
    stops = np.cumsum([len(each) for each in spelt], dtype=np.int64)
    starts = np.concatenate([np.zeros(min(len(spelt), 1), np.int64), stops[:-1]])
    return Aligned(array, b"".join(spelt), Borders(starts, stops))


def _borders(pattern: re.Pattern[bytes], content: bytes) -> Borders:
    spans = np.array([found.span() for found in pattern.finditer(content)], dtype=np.int64).reshape(-1, 2)
    return Borders(np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1]))
