"""The ∞-gram language model: the next token as it followed the longest suffix of the context that occurs.

Liu et al. 2024, arXiv:2401.17377, section 2. It backs off on the context alone and does no smoothing, so what
never followed that suffix has probability 0. `lm/interpolation` mixes it with a neural model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from potstill.errors import UsageError
from potstill.index.results import InfgramContinuations, Scores
from potstill.lm.context import Context

if TYPE_CHECKING:
    from potstill.index.reader import Index


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """What may come next, and how likely.

    ids         [S] int64, each once: the tokens with a probability above 0
    probs       [S] float64, sum 1
    suffix_len  tokens of the context that were matched; 0 is the unigram
    is_sparse   one continuation has all the probability
    """

    ids: NDArray[np.int64]
    probs: NDArray[np.float64]
    suffix_len: int
    is_sparse: bool


@dataclass(frozen=True, slots=True, eq=False)
class Followers:
    """How often each token followed the longest suffix that occurs, a document's end counting as an EOS.

    ids, counts  [S] int64, ids ascending and each once
    total        occurrences of the suffix; more than the sum of `counts` where not all were looked at
    suffix_len   tokens of the suffix
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    total: int
    suffix_len: int


@dataclass(frozen=True, slots=True, eq=False)
class InfinigramScores:
    """probs [T] float64, suffix_len [T] int32, is_sparse [T] bool: of each token given all before it."""

    probs: NDArray[np.float64]
    suffix_len: NDArray[np.int32]
    is_sparse: NDArray[np.bool_]


class InfinigramModel:
    """A `NextTokenModel` over `index`; it needs no cache, so `Stateless` drives it through the engine.

    A document's end counts as `eos_id`, together with ordinary tokens of that id. Bytes have no EOS: theirs
    is one more token, 256. After an empty context, or one whose last token never occurs, the tokens stand as
    often as in the whole corpus, without document ends.
    """

    def __init__(self, index: "Index", vocab_size: int | None = None) -> None:
        """`vocab_size` above the index's is that of a neural model whose embedding has rows to spare.

        UsageError for a smaller one, and for an index without a single token.
        """
        if index.num_tokens == 0:
            raise UsageError(
                "The index holds no tokens, so nothing can be said of the next one. Add documents."
            )
        self.index = index
        eos_id, num_known = index.vocabulary.eos_id, index.vocabulary.vocab_size
        self.eos_id = num_known if eos_id is None else eos_id
        needed = max(num_known, self.eos_id + 1)
        self.vocab_size = needed if vocab_size is None else vocab_size
        if self.vocab_size < needed:
            raise UsageError(
                f"The index has {needed:,} tokens, a model of {self.vocab_size:,} cannot name them all. "
                f"Build the index with that model's tokenizer."
            )

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        logprobs = np.full((len(contexts), self.vocab_size), -np.inf, dtype=np.float32)
        for row, found in zip(logprobs, self.distributions(contexts), strict=True):
            row[found.ids] = np.log(found.probs)
        return logprobs

    def distributions(self, contexts: Sequence[Context]) -> list[Distribution]:
        """What `next_logprobs` holds, as the tokens with a probability above 0."""
        return [self._distribution(context.token_ids) for context in contexts]

    def followers(self, ids: tuple[int, ...], *, budget: int = 0) -> Followers:
        """What `distributions` are made of; `budget` as for `Index.next`."""
        found = self.index.infgram_next(self._known(ids), budget=budget)
        token_ids, counts = found.ids, found.counts
        if found.num_end:
            token_ids, counts = _with_end(found, self.eos_id)
        return Followers(token_ids, counts, found.total, found.suffix_len)

    def score(self, ids: Sequence[int] | np.ndarray, *, with_end: bool = False) -> InfinigramScores:
        """Each token of a document given those before it, and at last its end where `with_end`."""
        text = np.asarray(ids, dtype=np.uint32)
        found = self.index.score(text)
        probs = found.count / np.maximum(found.context_count, 1)
        suffix_len, is_sparse = found.suffix_len, found.is_sparse.copy()
        for position in self._beside_ends(text, found):
            # Documents that end there have their share in an ordinary token of the EOS's id.
            probs[position], after = self._prob_of(int(text[position]), text, position, suffix_len[position])
            is_sparse[position] = after.is_sparse
        if with_end:
            # What is matched grows by one token at most.
            longest = int(suffix_len[-1]) + 1 if len(text) else 0
            prob, end = self._prob_of(self.eos_id, text, len(text), longest)
            probs = np.append(probs, prob)
            suffix_len = np.append(suffix_len, np.int32(end.suffix_len))
            is_sparse = np.append(is_sparse, end.is_sparse)
        return InfinigramScores(probs, suffix_len, is_sparse)

    def _beside_ends(self, text: NDArray[np.uint32], found: Scores) -> NDArray[np.int64]:
        """Positions of `text` where an ordinary token of the EOS's id may stand beside document ends.

        There `found` takes for two continuations what is one.
        """
        if self.eos_id >= self.index.vocabulary.vocab_size or not self.index.count([self.eos_id]):
            return np.flatnonzero(text == self.eos_id)
        # Another token that follows is a continuation beside them, so that nothing is sparse.
        asked = np.flatnonzero((text == self.eos_id) | (~found.is_sparse & (found.count == 0)))
        followed = [[*text[at - found.suffix_len[at] : at].tolist(), self.eos_id] for at in asked]
        counts = self.index.count_batch(*self.index.ragged(followed))
        beside: NDArray[np.int64] = asked[(counts > 0) | (text[asked] == self.eos_id)]
        return beside

    def _prob_of(
        self, token_id: int, text: NDArray[np.uint32], position: int, longest: int
    ) -> tuple[float, Distribution]:
        """P∞ of a token after text[:position], of which at most `longest` tokens are matched."""
        found = self._distribution(tuple(text[position - longest : position].tolist()))
        return float(found.probs[found.ids == token_id].sum()), found

    def _known(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """What follows the last token that no document can hold, such as the EOS of bytes."""
        num_known = self.index.vocabulary.vocab_size
        for position in range(len(ids), 0, -1) if num_known < self.vocab_size else ():
            if ids[position - 1] >= num_known:
                return ids[position:]
        return ids

    def _distribution(self, ids: tuple[int, ...]) -> Distribution:
        found = self.followers(ids)
        return Distribution(
            found.ids, found.counts / found.counts.sum(), found.suffix_len, len(found.ids) == 1
        )


def _with_end(found: InfgramContinuations, eos_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The continuations with document ends as tokens of id `eos_id`."""
    at = int(np.searchsorted(found.ids, eos_id))
    if at < len(found.ids) and found.ids[at] == eos_id:
        counts = found.counts.copy()
        counts[at] += found.num_end
        return found.ids, counts
    return np.insert(found.ids, at, eos_id), np.insert(found.counts, at, found.num_end)
