"""The documents that hold given spans of a text, ranked by how much else of the text stands beside the spans.

A document is judged by its best snippet: a span's occurrence with the tokens around it. Terms are the tokens;
for a byte vocabulary, words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from potstill.index.bm25 import Bm25, count_terms
from potstill.index.results import Occurrence, Passage
from potstill.index.words import Aligned, align_ids

if TYPE_CHECKING:
    from potstill.index.reader import Index

Term = int | bytes

# Of a span that occurs more often, documents are taken from so many of its places, in the order of the index.
_MOST_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Hit:
    """A span of the text, by its place among the spans, where it stands in a document."""

    span: int
    passage: Passage


@dataclass(frozen=True, slots=True)
class TracedDocument:
    """number  the document's number in the index
    score      BM25 of its best snippet against the text, >= 0
    hits       one for each span found in it, in the order of the text
    """

    number: int
    score: float
    hits: tuple[Hit, ...]


class Retrieved(NamedTuple):
    """documents: best first; places: for each span, its documents' places in that list, best first."""

    documents: tuple[TracedDocument, ...]
    places: tuple[tuple[int, ...], ...]


def retrieve(
    index: "Index", text: Aligned, spans: Sequence[tuple[int, int]], *, limit: int, context_tokens: int
) -> Retrieved:
    """Up to `limit` documents, the first, for each span (start, stop in tokens)."""
    hits: dict[int, list[Hit]] = {}
    for number, (start, stop) in enumerate(spans):
        for place in _first_documents(index, text.ids[start:stop], limit):
            passage = index.occurrence(*place, stop - start, context_tokens=context_tokens)
            hits.setdefault(place.document, []).append(Hit(number, passage))
    ranking = _ranking(index, text, [hit.passage for found in hits.values() for hit in found])
    documents = [
        TracedDocument(number, max(ranking.score(_terms(index, hit.passage)) for hit in found), tuple(found))
        for number, found in hits.items()
    ]
    documents.sort(key=lambda document: (-document.score, document.number))
    return Retrieved(tuple(documents), tuple(_places(documents, span) for span in range(len(spans))))


def _first_documents(index: "Index", ids: np.ndarray, limit: int) -> list[Occurrence]:
    """The first occurrence in each of the first documents."""
    found: dict[int, Occurrence] = {}
    for place in sorted(islice(index.find(ids), _MOST_PLACES if limit else 0)):
        found.setdefault(place.document, place)
        if len(found) == limit:
            break
    return list(found.values())


def _places(documents: Sequence[TracedDocument], span: int) -> tuple[int, ...]:
    return tuple(at for at, found in enumerate(documents) if any(hit.span == span for hit in found.hits))


def _ranking(index: "Index", text: Aligned, passages: Sequence[Passage]) -> Bm25[Term]:
    lengths = [len(_terms(index, passage)) for passage in passages]
    num_tokens = sum(len(passage.tokens) for passage in passages)
    mean_tokens = max(num_tokens / max(len(passages), 1), 1.0)
    query = count_terms(_terms_of(index, text))
    return Bm25(
        query=query,
        frequencies=_counts(index, list(query)),
        num_pieces=max(int(index.num_tokens / mean_tokens), 1),
        mean_length=max(sum(lengths) / max(len(lengths), 1), 1.0),
    )


def _counts(index: "Index", terms: Sequence[Term]) -> dict[Term, int]:
    queries = [[term] if isinstance(term, int) else list(term) for term in terms]
    starts = np.cumsum([0, *map(len, queries)])
    ids = np.array([token_id for query in queries for token_id in query], dtype=np.uint32)
    return dict(zip(terms, index.count_batch(ids, starts).tolist(), strict=True))


def _terms(index: "Index", passage: Passage) -> list[Term]:
    return _terms_of(index, align_ids(index.vocabulary, passage.tokens))


def _terms_of(index: "Index", text: Aligned) -> list[Term]:
    if index.vocabulary.kind == "tokenizer":
        return list(text.ids.tolist())
    words = text.words
    return [text.content[a:b] for a, b in zip(words.starts.tolist(), words.stops.tolist(), strict=True)]
