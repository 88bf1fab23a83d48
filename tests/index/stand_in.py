"""An index of a few small documents that looks at every token: the interface of `Index`, in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from potstill.corpus.store import Provenance
from potstill.corpus.vocabulary import ByteVocabulary, Vocabulary
from potstill.index.results import Occurrence, Passage

WIDTH = 4


@dataclass(frozen=True)
class StandIn:
    rows: Sequence[np.ndarray]
    vocabulary: Vocabulary

    @classmethod
    def of(cls, texts: Sequence[str | bytes], vocabulary: Vocabulary | None = None) -> "StandIn":
        chosen = vocabulary or ByteVocabulary()
        return cls(chosen.encode_documents(texts), chosen)

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.rows))

    def find(self, ids: Sequence[int] | np.ndarray) -> Iterator[Occurrence]:
        wanted = np.asarray(ids, "<u4").tobytes()
        for number, row in enumerate(self.rows):
            content = row.astype("<u4").tobytes()
            at = content.find(wanted)
            while at >= 0:
                if at % WIDTH == 0:
                    yield Occurrence(number, at // WIDTH)
                at = content.find(wanted, at + 1)

    def count(self, ids: Sequence[int] | np.ndarray) -> int:
        return sum(1 for _ in self.find(ids))

    def count_batch(self, ids: np.ndarray, starts: np.ndarray, *, threads: int = 1) -> np.ndarray:
        pieces = zip(starts, starts[1:], strict=False)
        return np.array([self.count(ids[start:stop]) for start, stop in pieces], np.int64)

    def longest_matches(self, ids: np.ndarray, *, threads: int = 1) -> np.ndarray:
        lengths, length = [], 0
        for at in range(len(ids)):
            length = max(length - 1, 0)
            while at + length < len(ids) and any(True for _ in self.find(ids[at : at + length + 1])):
                length += 1
            lengths.append(length)
        return np.array(lengths, np.int32)

    def tokens_beside(
        self, document: int, token_offset: int, num_tokens: int, max_tokens: int
    ) -> tuple[np.ndarray, np.ndarray]:
        row, stop = self.rows[document], token_offset + num_tokens
        return row[max(token_offset - max_tokens, 0) : token_offset], row[stop : stop + max_tokens]

    def occurrence(
        self, document: int, token_offset: int, num_tokens: int, *, context_tokens: int = 20
    ) -> Passage:
        row, stop = self.rows[document], token_offset + num_tokens
        begin, end = max(0, token_offset - context_tokens), min(len(row), stop + context_tokens)
        spelt = self.vocabulary.bytes_of
        before, match = spelt(row[begin:token_offset]), spelt(row[token_offset:stop])
        text = [each.decode(errors="replace") for each in (before, match, spelt(row[stop:end]))]
        first = len(spelt(row[:token_offset]))
        source = Provenance(Path(f"document-{document}"), 0, first, first + len(match), True)
        return Passage(
            document, token_offset, num_tokens, *text,
            tuple(row[begin:end].tolist()), token_offset - begin, source,
        )  # fmt: skip
