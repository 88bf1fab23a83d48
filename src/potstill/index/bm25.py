"""Okapi BM25 over snippets, with term frequencies from all of a corpus (Robertson and Zaragoza 2009).

What is ranked are snippets of a corpus, so the corpus is taken as so many pieces of a snippet's length, and a
term that occurs c times in it as standing in min(c, pieces) of them: an upper bound of its document
frequency that one exact count gives.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Term = TypeVar("Term", bound=Hashable)


@dataclass(frozen=True)
class Bm25(Generic[Term]):
    """query        how often the query holds each term
    frequencies    in how many pieces each of these terms stands, >= 0
    num_pieces     pieces there are, >= 1
    mean_length    terms of a mean piece, > 0
    k1, b          the two constants; usual values
    """

    query: Mapping[Term, int]
    frequencies: Mapping[Term, int]
    num_pieces: int
    mean_length: float
    k1: float = 1.2
    b: float = 0.75

    def score(self, terms: Sequence[Term]) -> float:
        """>= 0; higher: more of the query's rare terms, in a shorter text."""
        found = Counter(term for term in terms if term in self.query)
        room = self.k1 * (1 - self.b + self.b * len(terms) / self.mean_length)
        # Summed in a fixed order: equal texts get equal scores to the last bit.
        return math.fsum(
            self.query[term] * self.weight(term) * count * (self.k1 + 1) / (count + room)
            for term, count in found.items()
        )

    def weight(self, term: Term) -> float:
        """The inverse document frequency, in a form that is never negative."""
        frequency = min(self.frequencies.get(term, 0), self.num_pieces)
        return math.log1p((self.num_pieces - frequency + 0.5) / (frequency + 0.5))


def count_terms(terms: Iterable[Term]) -> dict[Term, int]:
    return dict(Counter(terms))
