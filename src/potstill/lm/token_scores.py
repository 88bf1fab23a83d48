"""How likely two models find each token of a text: all that tuning a mixture and its perplexity need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """One document, or several in a row.

    neural_logprobs   [T] float64, nats
    infinigram_probs  [T] float64, may be 0
    is_sparse         [T] bool: the ∞-gram's longest matching suffix has one continuation only
    suffix_len        [T] int32: tokens of that suffix
    """

    neural_logprobs: NDArray[np.float64]
    infinigram_probs: NDArray[np.float64]
    is_sparse: NDArray[np.bool_]
    suffix_len: NDArray[np.int32]

    def __post_init__(self) -> None:
        sizes = {len(self.neural_logprobs), len(self.infinigram_probs), len(self.is_sparse)}
        assert sizes == {len(self.suffix_len)}, "a number of each kind for each token"

    @property
    def num_tokens(self) -> int:
        return len(self.neural_logprobs)

    @classmethod
    def join(cls, scores: Sequence["TokenScores"]) -> "TokenScores":
        return cls(
            np.concatenate([one.neural_logprobs for one in scores]),
            np.concatenate([one.infinigram_probs for one in scores]),
            np.concatenate([one.is_sparse for one in scores]),
            np.concatenate([one.suffix_len for one in scores]),
        )

    def pieces(self, num_tokens: int) -> list["TokenScores"]:
        """Cut every `num_tokens` tokens; the last piece may be shorter."""
        return [
            TokenScores(
                self.neural_logprobs[start : start + num_tokens],
                self.infinigram_probs[start : start + num_tokens],
                self.is_sparse[start : start + num_tokens],
                self.suffix_len[start : start + num_tokens],
            )
            for start in range(0, self.num_tokens, num_tokens)
        ]
