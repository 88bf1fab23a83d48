"""An open index: how often an n-gram occurs, what follows it, where it stands. Exact unless a budget is set.

A query is a text or bytes, which are cut as the corpus was, or token ids. It never reaches over the end of a
document. Everything may be called from several threads at once.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from potstill import _native
from potstill.errors import UsageError
from potstill.index.cnf import CnfSearch, checked_clauses
from potstill.index.cnf_text import parse_cnf
from potstill.index.documents import Documents
from potstill.index.native_errors import query_told
from potstill.index.numbering import Numbering
from potstill.index.occurrences import Occurrences
from potstill.index.open import OpenIndex
from potstill.index.query import Query, Ragged, at_least, ids_of, ragged, uint32_ids
from potstill.index.results import (
    Continuations,
    ContinuationsBatch,
    Document,
    InfgramContinuations,
    InfgramProbability,
    Int32s,
    Int64s,
    Occurrence,
    Passage,
    Probability,
    RankedPassage,
    RankRange,
    Scores,
    SearchCount,
    Spans,
    Uint32s,
)
from potstill.index.shards import open_any

Ids = Sequence[int] | NDArray[np.integer]


class Index:
    """One generation of an index: what a writer does meanwhile changes no answer.

    path            the folder
    manifest        the generation's segments, vocabulary and interpolation
    vocabulary      how text is cut
    num_tokens      of live documents
    num_documents   live ones; `document_numbers` has those of deleted ones too
    reader          the native core
    """

    def __init__(self, opened: OpenIndex, reader: "_native.Reader | None" = None) -> None:
        self.path, self.manifest, self._left_out = opened.path, opened.manifest, opened.left_out
        self.generation, self.vocabulary = opened.manifest.generation, opened.vocabulary
        self.vocab_size = opened.manifest.vocabulary.vocab_size
        entries = [segment.entry for segment in opened.segments]
        self.num_tokens = sum(entry.sign * entry.num_tokens for entry in entries)
        self.num_documents = sum(entry.sign * entry.num_documents for entry in entries)
        self._numbering = Numbering(
            opened.signs, [entry.num_documents for entry in entries], opened.deleted()
        )
        natives = [segment.native for segment in opened.segments]
        self.reader = reader or _native.Reader(natives, opened.signs)
        self._documents = Documents(
            self.reader, self._numbering, [segment.store for segment in opened.segments], opened.vocabulary
        )
        # Looked up once: a count takes about as long as two attributes of an object do.
        self._count = self.reader.count

    @classmethod
    def open(cls, path: Path | str, *, degraded: bool = False) -> Self:
        """The newest generation of the index at `path`.

        MissingError where there is none, DamagedError where it was altered or is newer than this version
        reads. With `degraded` segments and shards that cannot be opened are left out, and `left_out` names
        them. An index in shards answers as one of all its documents.
        """
        return cls(open_any(Path(path), degraded=degraded))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Segments and shards that could not be opened; empty unless opened with `degraded`."""
        return self._left_out

    @property
    def document_numbers(self) -> range:
        """Every document's number, deleted ones included; `index merge` numbers them anew."""
        return self._numbering.numbers

    def ids_of(self, query: Query) -> list[int]:
        """The token ids of a query: text is cut without special tokens and without a space put before it."""
        return ids_of(query, self.vocabulary)

    def ragged(self, queries: Sequence[Query]) -> Ragged:
        """Several queries in the form that the batches take."""
        return ragged(queries, self.vocabulary, self.vocab_size)

    def count(self, query: Query) -> int:
        """Occurrences of the n-gram; of an empty one, all tokens."""
        try:
            return self._count(query if type(query) is list else self.ids_of(query))
        except (TypeError, ValueError, _native.DamagedFileError):
            # Once more and slowly, to tell what is wrong with the query or the index.
            with query_told:
                return self._count(self.ids_of(query))

    def count_batch(self, ids: Ids, starts: Ids, *, threads: int = 1) -> Int64s:
        """[B] occurrences of the n-grams ids[starts[b]:starts[b + 1]]; ids [M], starts [B + 1].

        Arrays of uint32 and int64 are taken as they are.
        """
        with query_told:
            return self.reader.count_batch(*self._batch(ids, starts), threads)

    def prob(self, context: Query, continuation: Query | int) -> Probability:
        """How likely `continuation`, a token or several, is right after `context`."""
        before, after = self.ids_of(context), self._ids_after(continuation)
        return Probability(
            query=tuple(after),
            context=tuple(before),
            context_count=self.count(before),
            count=self.count(before + after),
        )

    def next(self, context: Query, *, budget: int = 0) -> Continuations:
        """What follows `context`.

        `budget` is the most places to look at; 0: no limit, and the answer is exact. Where a budget ended the
        search, `unresolved` bounds the error and `is_exact` is False.
        """
        ids = self.ids_of(context)
        return Continuations(**self._continuations(ids, budget))

    def next_batch(self, ids: Ids, starts: Ids, *, threads: int = 1) -> ContinuationsBatch:
        """What follows each of the contexts ids[starts[b]:starts[b + 1]]."""
        batch = self._batch(ids, starts)
        with query_told:
            found, counts, row_starts = self.reader.next_batch(*batch, threads)
        return ContinuationsBatch(found, counts, row_starts, self.vocab_size)

    def infgram_prob(self, context: Query, token: Query | int) -> InfgramProbability:
        """How likely a token is after the longest suffix of `context` that occurs."""
        before, after = self.ids_of(context), self._ids_after(token)
        if len(after) != 1:
            shown = [self.vocabulary.token_text(token_id) for token_id in after]
            raise UsageError(f"{token!r} is {len(after)} tokens {shown}; the ∞-gram is of one token.")
        last = self.infgram_batch(before + after, [0, len(before) + 1])
        return InfgramProbability(
            query=tuple(after),
            context=tuple(before),
            context_count=int(last.context_count[0]),
            count=int(last.count[0]),
            suffix_len=int(last.suffix_len[0]),
            is_sparse=bool(last.is_sparse[0]),
        )

    def infgram_next(self, context: Query, *, budget: int = 0) -> InfgramContinuations:
        """What follows the longest suffix of `context` that occurs; `budget` as for `next`."""
        ids = self.ids_of(context)
        # The length does not depend on the token that follows; any will do.
        last = self.infgram_batch([*ids, 0], [0, len(ids) + 1])
        suffix_len = int(last.suffix_len[0])
        suffix = ids[len(ids) - suffix_len :]
        return InfgramContinuations(
            **self._continuations(suffix, budget),
            context=tuple(ids),
            suffix_len=suffix_len,
            is_sparse=bool(last.is_sparse[0]),
        )

    def infgram_batch(self, ids: Ids, starts: Ids, *, threads: int = 1) -> Scores:
        """The ∞-gram of the last token of each query after the tokens before it; no query may be empty."""
        with query_told:
            return Scores(*self.reader.infgram_batch(*self._batch(ids, starts), threads))

    def score(self, text: Query, *, threads: int = 1) -> Scores:
        """The ∞-gram of every token of `text` given all before it."""
        with query_told:
            return Scores(*self.reader.score(self._array(text), threads=threads))

    def longest_matches(self, text: Query, *, threads: int = 1) -> Int32s:
        """[T] tokens of the longest n-gram that starts at each token of `text` and occurs."""
        with query_told:
            return self.reader.longest_matches(self._array(text), threads)

    def spans(self, text: Query, min_length: int = 1) -> Spans:
        """Pieces of `text` of at least `min_length` tokens that occur and lie in no longer one that does."""
        with query_told:
            return Spans(*self.reader.spans(self._array(text), min_length))

    def state(self) -> "_native.State":
        """An empty context that grows token by token and knows its longest suffix that occurs."""
        return self.reader.state()

    def find(self, query: Query, limit: int | None = None) -> Occurrences:
        """Where the n-gram stands: counted at once, enumerated as it is asked for."""
        ids = self.ids_of(query)
        return Occurrences(self.reader, self._numbering, ids, count=self.count(ids), limit=limit)

    def search(
        self,
        clauses: str | Sequence[Sequence[Query]],
        *,
        window_tokens: int = 100,
        limit: int | None = 10,
        budget: int | None = None,
    ) -> SearchCount:
        """Occurrences of the rarest clause with every other clause near them, as told in `index.cnf`.

        clauses        lists of n-grams, any of which will do, or `natural AND (deep learning OR networks)`
        window_tokens  most tokens between the starts of an anchor and of what is near it
        limit          how many occurrences to list; the count is of all
        budget         most occurrences to look at in a clause; None: all, and the answer is exact
        """
        queries: Sequence[Sequence[Query]] = parse_cnf(clauses) if isinstance(clauses, str) else clauses
        ids = checked_clauses([[self.ids_of(query) for query in clause] for clause in queries])
        window = at_least("window_tokens", window_tokens, 0)
        most = None if budget is None else at_least("budget", budget, 0)
        shown = None if limit is None else at_least("limit", limit, 0)
        with query_told:
            return CnfSearch(self.reader, self._numbering, ids, window, most).run(shown)

    def ranges(self, query: Query) -> list[RankRange]:
        """The n-gram's places in the sorted suffixes of each segment that holds it."""
        ids = self.ids_of(query)
        with query_told:
            found = self.reader.ranges(ids)
        return [RankRange(*each) for each in found if self._numbering.is_positive(each[0])]

    def document_by_rank(self, rank: int, max_tokens: int = 100, *, segment: int = 0) -> RankedPassage:
        """At most `max_tokens` tokens of a document around the suffix of a rank, as `ranges` tells them."""
        self._numbering.check(segment, rank)
        with query_told:
            document, offset, num_tokens, first, ids = self.reader.passage(segment, rank, max_tokens)
        number = self._numbering.first_number(segment) + document
        return RankedPassage(number, offset, num_tokens, first, ids)

    def at_rank(self, segment: int, rank: int) -> Occurrence:
        """The place of a suffix by its rank in a segment's order, as `ranges` tells them."""
        self._numbering.check(segment, rank)
        with query_told:
            position = int(self.reader.positions(segment, rank, rank + 1)[0])
        return self.at_position(segment, position)

    def at_position(self, segment: int, position: int) -> Occurrence:
        """The document and offset of a token, or of a document's end, by its place in a segment's stream."""
        self._numbering.check(segment, position)
        with query_told:
            documents, offsets = self.reader.documents(segment, np.array([position], np.uint64))
        return Occurrence(self._numbering.first_number(segment) + int(documents[0]), int(offsets[0]))

    def document(self, number: int) -> Document:
        """A whole document: ids, text and source. UsageError for a number that does not exist."""
        return self._documents.document(number)

    def occurrence(
        self, document: int, token_offset: int, num_tokens: int, *, context_tokens: int = 20
    ) -> Passage:
        """A piece of a document with the text around it and where it came from."""
        return self._documents.passage(Occurrence(document, token_offset), num_tokens, context_tokens)

    def tokens_beside(
        self, document: int, token_offset: int, num_tokens: int, max_tokens: int
    ) -> tuple[Uint32s, Uint32s]:
        """Up to `max_tokens` ids right before and right after a piece of a document."""
        return self._documents.beside(Occurrence(document, token_offset), num_tokens, max_tokens)

    def close(self) -> None:
        """Let go of the files. What another thread is asking is answered; what is asked after is refused."""
        closed: Any = _Closed(self.path)
        self.reader = self._documents = self._numbering = closed
        self._count = closed.refuse

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ids_after(self, continuation: Query | int) -> list[int]:
        return self.ids_of([continuation] if isinstance(continuation, int | np.integer) else continuation)

    def _array(self, query: Query) -> NDArray[np.uint32]:
        return uint32_ids(query if isinstance(query, np.ndarray) else self.ids_of(query), self.vocab_size)

    def _batch(self, ids: Ids, starts: Ids) -> tuple[NDArray[np.uint32], Int64s]:
        return uint32_ids(ids, self.vocab_size), np.ascontiguousarray(starts, np.int64)

    def _continuations(self, query: list[int], budget: int) -> dict[str, Any]:
        most = at_least("budget", budget, 0)
        with query_told:
            found, counts, unresolved = self.reader.next(query, most)
        total, num_end = int(counts.sum()), 0
        if unresolved:
            # Occurrences in deleted documents are unknown too: what is counted may be too much.
            total = self.count(query)
            unresolved = min(unresolved, total)
            counts = np.minimum(counts, total)
            found, counts = found[counts > 0], counts[counts > 0]
        # A document's end stands last.
        if len(found) and found[-1] == self.vocab_size:
            num_end = int(counts[-1])
            found, counts = found[:-1], counts[:-1]
        return {
            "query": tuple(query),
            "ids": found,
            "counts": counts,
            "num_end": num_end,
            "total": total,
            "unresolved": unresolved,
        }


class _Closed:
    """Stands where the parts of an open index stood."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getattr__(self, name: str) -> NoReturn:
        raise UsageError(f"The index {self._path} is closed. Open it again to ask it something.")

    def refuse(self, *_: object) -> NoReturn:
        self.__getattr__("count")
