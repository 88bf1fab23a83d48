"""What an index answers. Every answer holds `query`: the token ids that were looked up, [N]."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.store import Provenance

Uint32s = NDArray[np.uint32]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TokenCount:
    token_id: int
    count: int


@dataclass(frozen=True, slots=True)
class Probability:
    """How likely a continuation is after a context.

    query          the continuation's ids
    context        the context's ids
    context_count  occurrences of the context; after an empty one, all tokens
    count          of these, how many are followed by the continuation
    """

    query: tuple[int, ...]
    context: tuple[int, ...]
    context_count: int
    count: int

    @property
    def value(self) -> float | None:
        """count / context_count; None where the context never occurs."""
        return self.count / self.context_count if self.context_count > 0 else None


@dataclass(frozen=True, slots=True)
class InfgramProbability(Probability):
    """A probability after the longest suffix of the context that occurs.

    suffix_len  tokens of that suffix; 0: not even the last token occurs
    is_sparse   that suffix has one continuation only (a document's end is one too)
    """

    suffix_len: int
    is_sparse: bool


@dataclass(frozen=True, slots=True, eq=False)
class Continuations:
    """What follows a context.

    query       the context's ids
    ids         [S] int64, ascending: the tokens that follow it
    counts      [S] int64, positive: how often each does
    num_end     occurrences at a document's end; kept apart from tokens that have the EOS's id
    total       occurrences of the context, exact with a budget too; without one counts.sum() + num_end
    unresolved  occurrences whose continuation a budget left unknown: no count is further than this from exact
    """

    query: tuple[int, ...]
    ids: Int64s
    counts: Int64s
    num_end: int
    total: int
    unresolved: int = 0

    @property
    def is_exact(self) -> bool:
        return self.unresolved == 0

    @property
    def num_distinct(self) -> int:
        """Continuations seen, a document's end among them."""
        return len(self.ids) + (self.num_end > 0)

    @property
    def probs(self) -> NDArray[np.float64]:
        """[S] counts / total: sums to 1 with num_end / total where the answer is exact."""
        return self.counts / max(self.total, 1)

    def count_of(self, token_id: int) -> int:
        """How often this token follows; 0 where it never does."""
        at = int(np.searchsorted(self.ids, token_id))
        return int(self.counts[at]) if at < len(self.ids) and self.ids[at] == token_id else 0

    def top(self, limit: int) -> list[TokenCount]:
        """The most frequent continuations; of equally frequent ones the lower id first."""
        order = np.lexsort((self.ids, -self.counts))[:limit]
        return [TokenCount(int(self.ids[at]), int(self.counts[at])) for at in order]


@dataclass(frozen=True, slots=True, eq=False)
class InfgramContinuations(Continuations):
    """What follows the longest suffix of a context that occurs; `query` is that suffix.

    context     the whole context's ids
    suffix_len  tokens of the suffix
    is_sparse   it has one continuation only (a document's end is one too)
    """

    context: tuple[int, ...] = ()
    suffix_len: int = 0
    is_sparse: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ContinuationsBatch:
    """What follows each of B contexts: row b is found[row_starts[b]:row_starts[b + 1]].

    found       [M] int64, ascending in a row: token ids, and vocab_size for a document's end
    counts      [M] int64, positive
    row_starts  [B + 1] int64
    vocab_size  ids of tokens are below it
    """

    found: Int64s
    counts: Int64s
    row_starts: Int64s
    vocab_size: int

    def __len__(self) -> int:
        return len(self.row_starts) - 1

    def row(self, context_number: int) -> tuple[Int64s, Int64s]:
        """(found, counts) of one context."""
        first, stop = self.row_starts[context_number : context_number + 2]
        return self.found[first:stop], self.counts[first:stop]


@dataclass(frozen=True, slots=True)
class RankRange:
    """Suffixes from rank `first` up to `stop` in the order of segment number `segment`."""

    segment: int
    first: int
    stop: int


class RankedPassage(NamedTuple):
    """The tokens around a suffix.

    document      its number
    token_offset  tokens of the document before the suffix
    num_tokens    of the document
    first         token of the document that `tokens` begin with
    tokens        [N] uint32
    """

    document: int
    token_offset: int
    num_tokens: int
    first: int
    tokens: Uint32s


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The ∞-gram of every token of a text given all before it, or of every query's last token.

    suffix_len     [T] int32: tokens of the longest suffix before it that occurs
    context_count  [T] int64: occurrences of that suffix; of an empty one, all tokens
    count          [T] int64: of these, how many go on with the token
    is_sparse      [T] bool: that suffix has one continuation only
    """

    suffix_len: Int32s
    context_count: Int64s
    count: Int64s
    is_sparse: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Pieces of a text that occur and lie in no longer piece that does, from left to right.

    starts, lengths  [M] int32, in tokens of the text
    counts           [M] int64, occurrences
    """

    starts: Int32s
    lengths: Int32s
    counts: Int64s


class Occurrence(NamedTuple):
    """A place in the corpus: the document's number, and tokens before it in that document."""

    document: int
    token_offset: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document; `tokens` are its ids [N]. A deleted one still answers until the index is merged."""

    number: int
    tokens: tuple[int, ...]
    text: str
    source: Provenance
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document with what stands around it.

    document, token_offset, num_tokens  the piece
    before, match, after                text; bytes that are no UTF-8 are U+FFFD; a character that the piece's
                                        border cuts belongs to `match`, one cut by the context's is left out
    tokens                              ids of context, piece and context [N]; the piece begins at `match_at`
    """

    document: int
    token_offset: int
    num_tokens: int
    before: str
    match: str
    after: str
    tokens: tuple[int, ...]
    match_at: int
    source: Provenance
    is_deleted: bool = False


class Hit(NamedTuple):
    """An occurrence of one of several n-grams, with the tokens it has."""

    document: int
    token_offset: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class SearchCount:
    """How many occurrences of the rarest clause have every other clause near them.

    clauses             n-grams of each clause, as ids; those that another one begins are left out
    anchor              number of the rarest clause
    count               anchors found; at least so many where a budget ended the search
    most                no more than so many; equal to `count` where the answer is exact
    num_documents       documents that hold the anchors found
    occurrences         anchors found, in document order, as many as were asked for
    """

    clauses: tuple[tuple[tuple[int, ...], ...], ...]
    anchor: int
    count: int
    most: int
    num_documents: int
    occurrences: tuple[Hit, ...]

    @property
    def is_exact(self) -> bool:
        return self.count == self.most
