"""An index that looks at every token, with the part of `Index` that language models ask."""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from types import SimpleNamespace

import numpy as np

from index.naive import END, Naive
from potstill.index.results import InfgramContinuations, Scores


class NaiveIndex:
    def __init__(
        self,
        documents: Sequence[Sequence[int]],
        vocab_size: int,
        eos_id: int | None = 0,
        fingerprint: str = "ab",
    ) -> None:
        self.naive = Naive([list(ids) for ids in documents])
        self.vocabulary = SimpleNamespace(vocab_size=vocab_size, eos_id=eos_id, fingerprint=fingerprint)

    @property
    def num_tokens(self) -> int:
        return self.naive.num_tokens

    def count(self, query: Sequence[int]) -> int:
        return self.naive.count(query)

    def ragged(self, queries: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        starts = [0, *accumulate(map(len, queries))]
        return list(chain.from_iterable(queries)), starts

    def count_batch(self, ids: Sequence[int], starts: Sequence[int]) -> np.ndarray:
        return np.array([self.naive.count(ids[begin:end]) for begin, end in pairwise(starts)], np.int64)

    def infgram_next(self, context: Sequence[int], *, budget: int = 0) -> InfgramContinuations:
        assert budget == 0, "every token is looked at"
        length, is_sparse, counts = self.naive.infgram_next(context)
        ids = sorted(token_id for token_id in counts if token_id != END)
        return InfgramContinuations(
            query=tuple(context[len(context) - length :]),
            ids=np.array(ids, np.int64),
            counts=np.array([counts[token_id] for token_id in ids], np.int64),
            num_end=counts[END],
            total=sum(counts.values()),
            context=tuple(context),
            suffix_len=length,
            is_sparse=is_sparse,
        )

    def score(self, text: Sequence[int]) -> Scores:
        found = self.naive.score([int(token_id) for token_id in text])
        return Scores(
            np.array([one.suffix_len for one in found], np.int32),
            np.array([one.context_count for one in found], np.int64),
            np.array([one.count for one in found], np.int64),
            np.array([one.is_sparse for one in found], bool),
        )
