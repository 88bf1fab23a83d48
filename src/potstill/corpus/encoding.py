"""From pieces of documents to symbols, and to where each symbol's bytes stand.

A piece is a document or, of a long one, a part that is cut by itself as it would be inside the document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from potstill.corpus.byte_offsets import LISTED, PREFIXED, SPELLED, Kinds, Signed
from potstill.corpus.vocabulary import TokenizerVocabulary, Vocabulary, as_text

Flags = npt.NDArray[np.bool_]


class Piece(NamedTuple):
    """Bytes of a document from `start` on; `is_first` and `is_last` where they begin and end it."""

    content: bytes
    start: int = 0
    is_first: bool = True
    is_last: bool = True


@dataclass(frozen=True)
class EncodedBatch:
    """The symbols of some pieces, one after another, 0 after each document's last.

    piece_starts  where each piece's symbols begin, and how many there are
    before        bytes of the document until where the token before a symbol stopped; None for raw bytes
    kinds         a symbol's kind of run (byte_offsets); None for raw bytes
    gaps, lengths of each token of a listed run: bytes between the token before and it, and its own
    """

    symbols: npt.NDArray[np.unsignedinteger]
    piece_starts: Signed
    before: Signed | None = None
    kinds: Kinds | None = None
    gaps: Signed | None = None
    lengths: Signed | None = None


class Encoder(Protocol):
    def encode(self, pieces: Sequence[Piece]) -> EncodedBatch: ...


def encoder_of(vocabulary: Vocabulary) -> Encoder:
    return TokenizerEncoder(vocabulary) if isinstance(vocabulary, TokenizerVocabulary) else ByteEncoder()


class ByteEncoder:
    def encode(self, pieces: Sequence[Piece]) -> EncodedBatch:
        content = np.frombuffer(b"".join(piece.content for piece in pieces), np.uint8).astype(np.uint16) + 1
        lengths = np.fromiter((len(piece.content) for piece in pieces), np.int64, len(pieces))
        is_token, piece_starts = _with_ends(lengths, pieces)
        symbols = np.zeros(len(is_token), np.uint16)
        symbols[is_token] = content
        return EncodedBatch(symbols, piece_starts)


class _Spans(NamedTuple):
    kind: int
    gaps: Signed
    lengths: Signed


class _Places(NamedTuple):
    starts: Signed
    stops: Signed


class TokenizerEncoder:
    """Ids and byte spans of pieces by a tokenizer; what the spans of a piece are is checked, not assumed."""

    def __init__(self, vocabulary: TokenizerVocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = vocabulary.tokenizer
        self._bytes_of = _Spelled(vocabulary)

    def encode(self, pieces: Sequence[Piece]) -> EncodedBatch:
        texts = [as_text(piece.content) for piece in pieces]
        ids = self._ids(texts, pieces)
        spans = [self._spans(*each) for each in zip(ids, texts, pieces, strict=True)]
        counts = np.fromiter(map(len, ids), np.int64, len(ids))
        is_token, piece_starts = _with_ends(counts, pieces)
        symbols = np.zeros(len(is_token), np.uint32)
        symbols[is_token] = np.concatenate([np.array(each, np.uint32) for each in ids]) + np.uint32(1)
        gaps, lengths = (
            np.concatenate([getattr(each, name) for each in spans]) for name in ("gaps", "lengths")
        )
        steps = np.zeros(len(symbols), np.int64)
        steps[is_token] = gaps + lengths
        kinds = np.fromiter((each.kind for each in spans), np.uint8, len(spans))
        is_listed = np.repeat(kinds == LISTED, counts)
        return EncodedBatch(
            symbols,
            piece_starts,
            before=_before(steps, piece_starts, pieces),
            kinds=np.repeat(kinds, np.diff(piece_starts)),
            gaps=gaps[is_listed],
            lengths=lengths[is_listed],
        )

    def _ids(self, texts: Sequence[str], pieces: Sequence[Piece]) -> list[list[int]]:
        if all(piece.is_first for piece in pieces):
            return self._tokenizer.encode_batch(texts)
        continuing = self._vocabulary.continuing
        return [
            (self._tokenizer if piece.is_first else continuing).encode(text)
            for text, piece in zip(texts, pieces, strict=True)
        ]

    def _spans(self, ids: list[int], text: str, piece: Piece) -> _Spans:
        spelled = list(map(self._bytes_of.__getitem__, ids))
        joined = b"".join(spelled)
        lengths = np.fromiter(map(len, spelled), np.int64, len(spelled))
        none = np.zeros(len(ids), np.int64)
        if joined == piece.content:
            return _Spans(SPELLED, none, lengths)
        if piece.is_first and lengths[:1].any() and joined[:1] == b" " and joined[1:] == piece.content:
            lengths[0] -= 1
            return _Spans(PREFIXED, none, lengths)
        places = _replaced_places(joined, lengths, text, piece)
        return _listed(self._told_places(ids, text, piece) if places is None else places, piece)

    def _told_places(self, ids: list[int], text: str, piece: Piece) -> _Places:
        """As the tokenizer tells them: tokens of one character share its span."""
        tokenizer = self._tokenizer if piece.is_first else self._vocabulary.continuing
        (found,) = tokenizer.encode_spans([text])
        assert found.ids == ids, "a tokenizer gave a text other ids when its spans were asked for"
        places = char_places(piece.content)[np.array(found.spans, np.int64).reshape(-1, 2)]
        return _Places(places[:, 0], places[:, 1])


def char_places(content: bytes) -> Signed:
    """The byte at which each character of `as_text(content)` begins, and the number of bytes."""
    sizes, _ = _char_sizes(content)
    return np.concatenate(([0], np.cumsum(sizes)))


def _char_sizes(content: bytes) -> tuple[Signed, Signed]:
    """Bytes of each character of `as_text(content)`: in `content`, and in the UTF-8 of that text."""
    wide = content.decode(errors="surrogateescape").encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(wide, "<u4")
    sizes = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    # A byte that is no part of a character was escaped as half of a surrogate pair; U+FFFD takes three.
    is_escaped = (points >= 0xDC80) & (points <= 0xDCFF)
    return np.where(is_escaped, 1, sizes), sizes


def _replaced_places(joined: bytes, lengths: Signed, text: str, piece: Piece) -> _Places | None:
    """Of tokens that spell the text, in which U+FFFD stands for bytes that are none; None if they do not."""
    begin = 1 if piece.is_first and joined[:1] == b" " and not text.startswith(" ") else 0
    if joined[begin:] != text.encode():
        return None
    raw_sizes, text_sizes = _char_sizes(piece.content)
    raw, spelled = (np.concatenate(([0], np.cumsum(sizes))) for sizes in (raw_sizes, text_sizes))
    ends = np.maximum(np.concatenate(([0], np.cumsum(lengths))) - begin, 0)
    character = np.searchsorted(spelled, ends, side="right") - 1
    inside = ends - spelled[character]
    is_mark = np.append(raw_sizes != text_sizes, False)[character]
    starts = raw[character] + np.where(is_mark, 0, inside)
    stops = raw[character] + np.where(is_mark, inside > 0, inside)
    return _Places(starts[:-1], stops[1:])


def _listed(places: _Places, piece: Piece) -> _Spans:
    starts, stops = places
    if len(stops) and not piece.is_last:
        # The next piece counts from here on.
        stops[-1] = len(piece.content)
    gaps = starts - np.concatenate(([0], stops[:-1])) if len(stops) else starts
    return _Spans(LISTED, gaps, stops - starts)


class _Spelled(dict[int, bytes]):
    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, token_id: int) -> bytes:
        spelled = self[token_id] = self._vocabulary.token_bytes(token_id)
        return spelled


def _with_ends(counts: Signed, pieces: Sequence[Piece]) -> tuple[Flags, Signed]:
    """Which symbols are tokens, and where each piece's symbols begin."""
    is_last = np.fromiter((piece.is_last for piece in pieces), bool, len(pieces))
    piece_starts = np.concatenate(([0], np.cumsum(counts + is_last)))
    is_token = np.ones(int(piece_starts[-1]), bool)
    is_token[piece_starts[1:][is_last] - 1] = False
    return is_token, piece_starts


def _before(steps: Signed, piece_starts: Signed, pieces: Sequence[Piece]) -> Signed:
    sums = np.cumsum(steps) - steps
    # A last piece without tokens may stand behind the last symbol of all.
    firsts = np.append(sums, steps.sum())[piece_starts[:-1]]
    bases = np.fromiter((piece.start for piece in pieces), np.int64, len(pieces)) - firsts
    before: Signed = sums + np.repeat(bases, np.diff(piece_starts))
    return before
