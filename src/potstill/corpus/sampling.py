"""A sample of a corpus's sentences that depends on their text and the seed alone.

Each distinct sentence has a rank, a hash of its text under the seed; the sample is the sentences of lowest
rank. So the order of the files does not matter, a bigger sample begins with the smaller one, and adding files
changes little. Memory grows with the sample, not with the corpus.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill.corpus.documents import Document
from potstill.corpus.prose import count_words, reads_like_a_sentence
from potstill.corpus.sentences import Span, split_sentences
from potstill.errors import ConfigError

_RANK_BYTES = 16


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence and where it stands.

    text        with each run of white space made one space
    path        the file; record: the document's number in it, from 0
    start, end  characters of the document's text that hold it
    byte_span   bytes of the file that hold it, where that is well defined (plain text)
    previous    the sentences just before it in the document, in order, spaced alike
    """

    text: str
    path: Path
    record: int
    start: int
    end: int
    byte_span: tuple[int, int] | None = None
    previous: tuple[str, ...] = ()


def sample_sentences(
    documents: Iterable[Document],
    count: int,
    seed: int,
    *,
    min_words: int = 8,
    max_words: int = 60,
    num_previous: int = 5,
) -> list[SourceSentence]:
    """At most `count` distinct sentences of prose, each `min_words` to `max_words` long, in order of rank.

    A sentence that occurs again is kept at the first place it occurs. `num_previous` is the most sentences
    kept of what stands before each.
    """
    _check(count, min_words, max_words, num_previous)
    held: dict[int, SourceSentence] = {}
    # The negated ranks of `held`, so that the highest rank is at the front.
    heap: list[int] = []
    for document in documents:
        for sentence, text in _fitting(document, min_words, max_words):
            rank = _rank(text, seed)
            if rank in held or (len(heap) == count and rank >= -heap[0]):
                continue
            held[rank] = _located(document, sentence, num_previous)
            heapq.heappush(heap, -rank)
            if len(heap) > count:
                del held[-heapq.heappop(heap)]
    return [held[rank] for rank in sorted(held)]


def _check(count: int, min_words: int, max_words: int, num_previous: int) -> None:
    if count < 1:
        raise ConfigError(f"A sample of {count} sentences was asked for; it needs at least 1.")
    if not 1 <= min_words <= max_words:
        raise ConfigError(
            f"min_words {min_words} and max_words {max_words} must be 1 or more, in that order."
        )
    if num_previous < 0:
        raise ConfigError(f"num_previous is {num_previous}; it must be 0 or more.")


@dataclass(frozen=True, slots=True)
class _Place:
    spans: list[Span]
    index: int


def _fitting(document: Document, min_words: int, max_words: int) -> Iterator[tuple[_Place, str]]:
    spans = split_sentences(document.text)
    for index, (start, end) in enumerate(spans):
        raw = document.text[start:end]
        text = _one_line(raw)
        if min_words <= count_words(text) <= max_words and reads_like_a_sentence(raw):
            yield _Place(spans, index), text


def _located(document: Document, place: _Place, num_previous: int) -> SourceSentence:
    start, end = place.spans[place.index]
    before = place.spans[max(0, place.index - num_previous) : place.index]
    return SourceSentence(
        text=_one_line(document.text[start:end]),
        path=document.path,
        record=document.record,
        start=start,
        end=end,
        byte_span=document.byte_span(start, end),
        previous=tuple(_one_line(document.text[first:last]) for first, last in before),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _rank(text: str, seed: int) -> int:
    """Case and spacing do not make a sentence another one."""
    digest = hashlib.blake2b(
        text.casefold().encode(),
        digest_size=_RANK_BYTES,
        key=seed.to_bytes(8, "little"),
        person=b"sentence-sample",
    )
    return int.from_bytes(digest.digest(), "big")
