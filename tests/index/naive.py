"""The obvious truth about a corpus: every answer of an index, found by looking at every token.

Documents are lists of token ids. A query never reaches over a document's end, deleted documents do not
count, and the document's end is a continuation of its own (`END`), whatever the tokens are.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

END = -1
Ids = Sequence[int]


class InfgramNext(NamedTuple):
    suffix_len: int
    is_sparse: bool
    counts: Counter[int]


class InfgramProb(NamedTuple):
    suffix_len: int
    context_count: int
    count: int
    is_sparse: bool


class Span(NamedTuple):
    start: int
    length: int
    count: int


class CnfCount(NamedTuple):
    count: int
    num_documents: int


@dataclass(frozen=True)
class Naive:
    """`documents` by number, those in `deleted` included."""

    documents: Sequence[Ids]
    deleted: frozenset[int] = frozenset()

    @cached_property
    def live(self) -> list[tuple[int, list[int]]]:
        return [(n, list(ids)) for n, ids in enumerate(self.documents) if n not in self.deleted]

    @property
    def num_tokens(self) -> int:
        return sum(len(ids) for _, ids in self.live)

    def places(self, query: Ids) -> Iterator[tuple[int, int]]:
        """(document, token offset) in document order; an empty query stands before every token."""
        wanted = list(query)
        for number, ids in self.live:
            for offset in range(len(ids) - max(len(wanted), 1) + 1):
                if ids[offset : offset + len(wanted)] == wanted:
                    yield number, offset

    def find(self, query: Ids) -> list[tuple[int, int]]:
        return list(self.places(query))

    def count(self, query: Ids) -> int:
        return sum(1 for _ in self.places(query))

    def next(self, context: Ids) -> Counter[int]:
        """How often each token, or END, follows the context; after an empty one only tokens do."""
        found: Counter[int] = Counter()
        for number, offset in self.places(context):
            ids, after = self.documents[number], offset + len(context)
            found[ids[after] if after < len(ids) else END] += 1
        return found

    def infgram_next(self, context: Ids) -> InfgramNext:
        """After the longest suffix of the context that occurs; sparse: one continuation has all the mass."""
        context = list(context)
        length = next((n for n in range(len(context), 0, -1) if self.count(context[-n:])), 0)
        counts = self.next(context[len(context) - length :])
        return InfgramNext(length, len(counts) == 1, counts)

    def infgram_prob(self, context: Ids, token: int) -> InfgramProb:
        length, is_sparse, counts = self.infgram_next(context)
        return InfgramProb(length, sum(counts.values()), counts[token], is_sparse)

    def score(self, text: Ids) -> list[InfgramProb]:
        """The ∞-gram of every token of a text given all tokens before it."""
        return [self.infgram_prob(text[:at], token) for at, token in enumerate(text)]

    def longest_matches(self, text: Ids) -> list[int]:
        """The length of the longest n-gram that starts at each token of `text` and occurs."""
        return [
            max((n for n in range(1, len(text) - at + 1) if self.count(text[at : at + n])), default=0)
            for at in range(len(text))
        ]

    def spans(self, text: Ids, min_length: int = 1) -> list[Span]:
        """The matches of at least `min_length` tokens that lie in no other match."""
        found, reached = [], 0
        for start, length in enumerate(self.longest_matches(text)):
            if start + length > reached and length:
                reached = start + length
                if length >= min_length:
                    found.append(Span(start, length, self.count(text[start : start + length])))
        return found

    def anchors(self, clauses: Sequence[Sequence[Ids]], window_tokens: int) -> list[tuple[int, int]]:
        """Occurrences of the rarest clause near which every other clause has one that starts.

        A clause is a list of n-grams, any of which will do. Near: within `window_tokens` on either side, in
        the same document. Of clauses equally rare the first is the anchor.
        """
        places = [sorted({place for query in clause for place in self.places(query)}) for clause in clauses]
        rarest = min(range(len(places)), key=lambda number: len(places[number]))
        others = [found for number, found in enumerate(places) if number != rarest]
        return [
            (document, offset)
            for document, offset in places[rarest]
            if all(_any_near(found, document, offset, window_tokens) for found in others)
        ]

    def search(self, clauses: Sequence[Sequence[Ids]], window_tokens: int) -> CnfCount:
        found = self.anchors(clauses, window_tokens)
        return CnfCount(len(found), len({document for document, _ in found}))


def _any_near(places: list[tuple[int, int]], document: int, offset: int, window_tokens: int) -> bool:
    return any(other == document and abs(at - offset) <= window_tokens for other, at in places)
