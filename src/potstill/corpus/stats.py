"""Figures of a corpus: how much is in it, and of what."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from potstill.corpus.store import Store

_CHUNK_DOCUMENTS = 1 << 20


@dataclass(frozen=True)
class CorpusStats:
    """What is in a corpus.

    num_bytes        of text, as far as tokens stand for it
    symbol_bytes     width of a token on the disk
    longest          tokens of the longest document
    num_empty        documents without tokens
    sources          files, by how they were read
    folder_bytes     of all files that hold the documents, the vocabulary apart
    """

    num_documents: int
    num_tokens: int
    num_bytes: int | None
    symbol_bytes: int
    longest: int
    num_empty: int
    sources: dict[str, int]
    folder_bytes: int

    @property
    def bytes_a_token(self) -> float | None:
        if self.num_bytes is None or not self.num_tokens:
            return None
        return self.num_bytes / self.num_tokens


def corpus_stats(store: Store) -> CorpusStats:
    longest, num_empty = 0, 0
    for first in range(0, store.num_documents, _CHUNK_DOCUMENTS):
        stop = min(first + _CHUNK_DOCUMENTS, store.num_documents)
        firsts = store.documents(first, stop + 1)["first_symbol"].astype(np.int64)
        lengths = np.diff(firsts) - 1
        longest = max(longest, int(lengths.max(initial=0)))
        num_empty += int((lengths == 0).sum())
    kinds = Counter(store.source(number).kind for number in range(store.num_sources))
    return CorpusStats(
        num_documents=store.num_documents,
        num_tokens=store.num_tokens,
        num_bytes=store.facts.num_bytes,
        symbol_bytes=store.facts.symbol_bytes,
        longest=longest,
        num_empty=num_empty,
        sources=dict(sorted(kinds.items())),
        folder_bytes=sum(store.facts.files.values()),
    )
