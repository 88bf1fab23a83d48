"""Where tokens stand in the bytes of their document: offsets.bin, and what follows from it.

Most tokens spell the bytes they were made from, so their places follow from their lengths and one offset in
every 64 symbols. Where they do not (a tokenizer that changes case or Unicode form, bytes that are not UTF-8)
each token's span is listed. docs/formats/corpus.md tells the bytes.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from potstill.corpus.checked_file import CheckedFile
from potstill.corpus.varints import decode_varints, unzigzag
from potstill.corpus.vocabulary import Ids, Vocabulary
from potstill.errors import DamagedError

BLOCK_SYMBOLS = 64
HEADER_BYTES = 24
# How the tokens of a run relate to bytes: they spell them; they do, but each document's first one begins with
# a space that the document does not have; each one's span is listed.
SPELLED, PREFIXED, LISTED = 0, 1, 2
_MAX_OFFSET = 1 << 61

Signed = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]


class Span(NamedTuple):
    """Bytes [start, stop) of a document; `exact` where the tokens spell them."""

    start: int
    stop: int
    exact: bool


class TokenLayout(NamedTuple):
    """For each symbol from `first` on: where its bytes start and stop in its document, and its run's kind.

    A document's end starts and stops where its last token stopped. `gaps` is how far a token starts after the
    one before it stopped, 0 where it spells.
    """

    first: int
    symbols: Ids
    starts: Signed
    stops: Signed
    gaps: Signed
    kinds: Kinds

    @property
    def before(self) -> Signed:
        """Where the token before each symbol stopped, 0 at the first of a document."""
        return self.starts - self.gaps


class ByteOffsets:
    """offsets.bin opened; without a file, every token is a byte."""

    def __init__(
        self,
        file: CheckedFile | None,
        num_symbols: int,
        symbols: Callable[[int, int], Ids],
        vocabulary: Callable[[], Vocabulary],
    ) -> None:
        self._file, self._num_symbols = file, num_symbols
        self._symbols, self._vocabulary = symbols, vocabulary
        self._num_blocks = -(-num_symbols // BLOCK_SYMBOLS)
        self._num_runs = self._span_bytes = 0
        if file is not None:
            self._read_header(file)

    def span(self, document_start: int, first: int, stop: int) -> Span:
        """Of the tokens at [first, stop) of the stream, in the document that begins at `document_start`."""
        if self._file is None:
            return Span(first - document_start, stop - document_start, True)
        head = self.layout(first, first + 1)
        start = int(head.starts[-1])
        if first == stop:
            return Span(start, start, True)
        tail = head if stop == first + 1 else self.layout(stop - 1, stop)
        return Span(start, max(start, int(tail.stops[-1])), not self._lists_any(first, stop))

    def layout(self, first: int, stop: int) -> TokenLayout:
        """Of the symbols from the last multiple of 64 up to `first` until `stop`; not for raw bytes."""
        first -= first % BLOCK_SYMBOLS
        symbols = self._symbols(first, stop)
        kinds = self._kinds(first, stop)
        is_token = symbols != 0
        begins = np.concatenate(([self._begins_document(first)], ~is_token[:-1]))
        lengths = np.zeros(len(symbols), np.int64)
        lengths[is_token] = self._lengths(symbols[is_token])
        lengths[is_token & begins & (kinds == PREFIXED)] -= 1
        gaps = np.zeros(len(symbols), np.int64)
        is_listed = is_token & (kinds == LISTED)
        if is_listed.any():
            gaps[is_listed], lengths[is_listed] = self._listed(first, int(is_listed.sum()))
        before = _restarted(gaps + lengths, begins, self._start(first // BLOCK_SYMBOLS))
        starts = before + gaps
        return TokenLayout(first, symbols, starts, starts + lengths, gaps, kinds)

    def _read_header(self, file: CheckedFile) -> None:
        if file.size < HEADER_BYTES:
            raise self._wrong("its header is cut short")
        blocks, self._num_runs, self._span_bytes = map(int, file.read(0, HEADER_BYTES).view("<u8"))
        num_starts = self._num_blocks * (2 if self._span_bytes else 1)
        expected = HEADER_BYTES + 8 * (num_starts + self._num_runs) + self._span_bytes
        if blocks != self._num_blocks or file.size != expected:
            raise self._wrong("its header does not fit the store")

    def _begins_document(self, symbol: int) -> bool:
        return symbol == 0 or not self._symbols(symbol - 1, symbol)[0]

    def _lengths(self, symbols: Ids) -> Signed:
        token_bytes = self._vocabulary().token_bytes
        lengths = (len(token_bytes(symbol - 1)) for symbol in symbols.tolist())
        return np.fromiter(lengths, np.int64, len(symbols))

    def _start(self, block: int) -> int:
        return self._words(HEADER_BYTES + 8 * block, 1)[0] if self._num_blocks else 0

    def _words(self, byte: int, count: int) -> list[int]:
        assert self._file is not None
        words: list[int] = self._file.read(byte, byte + 8 * count).view("<u8").tolist()
        if max(words, default=0) > _MAX_OFFSET:
            raise self._wrong("an offset cannot be")
        return words

    @cached_property
    def _runs(self) -> tuple[Signed, Kinds]:
        assert self._file is not None
        byte = HEADER_BYTES + 8 * self._num_blocks
        words = self._file.read(byte, byte + 8 * self._num_runs).view("<u8")
        if not len(words):
            return np.zeros(1, np.int64), np.zeros(1, np.uint8)
        firsts, kinds = (words >> 2).astype(np.int64), (words & 3).astype(np.uint8)
        if (np.diff(firsts) <= 0).any() or kinds.max() > LISTED:
            raise self._wrong("its runs are out of order")
        # What stands before the first run are ends of documents without tokens.
        firsts[0] = 0
        return firsts, kinds

    def _kinds(self, first: int, stop: int) -> Kinds:
        firsts, kinds = self._runs
        low, high = np.searchsorted(firsts, [first, stop - 1], side="right")
        ends = np.append(firsts[low:high], stop)
        return np.repeat(kinds[low - 1 : high], np.diff(np.concatenate(([first], ends))))

    def _lists_any(self, first: int, stop: int) -> bool:
        firsts, kinds = self._runs
        low, high = np.searchsorted(firsts, [first, stop - 1], side="right")
        return bool((kinds[low - 1 : high] == LISTED).any())

    def _listed(self, first: int, count: int) -> tuple[Signed, Signed]:
        """Gaps and lengths of `count` listed tokens from that symbol on, which begins a block."""
        assert self._file is not None
        table = HEADER_BYTES + 8 * (self._num_blocks + self._num_runs)
        spans = table + 8 * self._num_blocks
        start = self._words(table + 8 * (first // BLOCK_SYMBOLS), 1)[0] if self._span_bytes else 0
        # Two numbers a token, nine bytes at most each.
        stop = min(start + 18 * count, self._span_bytes)
        encoded = self._file.read(spans + start, spans + max(start, stop))
        ends = np.flatnonzero(encoded < 0x80)
        values = decode_varints(encoded[: ends[2 * count - 1] + 1]) if len(ends) >= 2 * count else None
        if values is None or values.max(initial=0) > _MAX_OFFSET:
            raise self._wrong("the listed spans are not whole")
        return unzigzag(values[0::2]), values[1::2]

    def _wrong(self, what: str) -> DamagedError:
        assert self._file is not None
        return DamagedError(
            f"{self._file.path}: {what}. Copy it again from where it is whole, or build again."
        )


def _restarted(steps: Signed, begins: npt.NDArray[np.bool_], carried: int) -> Signed:
    """Sums of the steps before each place, from 0 where a document begins and from `carried` before that."""
    before = np.cumsum(steps) - steps
    places = np.where(begins, np.arange(len(steps)), -1)
    latest = np.maximum.accumulate(places)
    return np.where(latest >= 0, before - before[np.maximum(latest, 0)], before + carried)
