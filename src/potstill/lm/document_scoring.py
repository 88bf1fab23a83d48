"""How likely each token of whole documents is to a neural model, and to an ∞-gram beside it.

A neural model reads a document longer than its window piece by piece, each with some of the tokens before it;
the ∞-gram has all of them. A model without a BOS cannot begin a document: there neither is asked about the
first token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigError, UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.scoring import score_target_tokens
from potstill.lm.token_scores import TokenScores
from potstill.progress import Progress, Silent

# Documents whose windows are held at once, in tokens: progress is told in between.
_CHUNK_TOKENS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """How a neural model reads long documents.

    window_tokens   positions run at once, a BOS included, >= 2; at most the model's context is used
    overlap_tokens  how many of the tokens before it a later window begins with; below half a window
    """

    window_tokens: int = 4096
    overlap_tokens: int = 512

    def __post_init__(self) -> None:
        if self.window_tokens < 2:
            raise ConfigError(f"window_tokens is {self.window_tokens}; it must be at least 2.")
        if not 0 <= self.overlap_tokens < self.window_tokens / 2:
            raise ConfigError(
                f"overlap_tokens is {self.overlap_tokens}; it must be in [0, {self.window_tokens / 2:g})."
            )


class Window(NamedTuple):
    """Tokens [start, stop) of a document are scored given [context_start, start)."""

    context_start: int
    start: int
    stop: int


def windows(num_tokens: int, size: int, overlap: int, first: int = 0) -> Iterator[Window]:
    """Cut a document: every token from `first` on is scored once, no window holds more than `size` tokens."""
    start = first
    while start < num_tokens:
        context_start = max(0, start - overlap)
        stop = min(context_start + size, num_tokens)
        yield Window(context_start, start, stop)
        start = stop


def neural_logprobs(
    model: NeuralDecoder,
    documents: Sequence[Sequence[int]],
    settings: WindowSettings | None = None,
    *,
    progress: Progress | None = None,
) -> list[NDArray[np.float64]]:
    """log p of every token of every document, [T - num_left_out] float64 a document, in nats."""
    settings = settings or WindowSettings()
    first = num_left_out(model)
    size = min(settings.window_tokens, model.max_positions) - model.num_prepended
    if size <= first:
        raise UsageError(
            f"The model's context has {model.max_positions} positions, too few to score a token."
        )
    overlap = max(min(settings.overlap_tokens, size // 2), first)
    scores: list[NDArray[np.float64]] = []
    num_tokens = sum(map(len, documents))
    with (progress or Silent()).task("Neural model", num_tokens, "tokens") as task:
        for chunk in _chunks(documents):
            cut = [list(windows(len(ids), size, overlap, first)) for ids in chunk]
            requests = [
                (ids[window.context_start : window.start], ids[window.start : window.stop])
                for ids, own in zip(chunk, cut, strict=True)
                for window in own
            ]
            found = iter(score_target_tokens(model, requests, batch_tokens=settings.window_tokens))
            scores += [np.concatenate([np.empty(0), *(next(found) for _ in own)]) for own in cut]
            task.advance(sum(map(len, chunk)))
    return scores


def score_documents(
    infinigram: InfinigramModel,
    model: NeuralDecoder,
    documents: Sequence[Sequence[int]],
    settings: WindowSettings | None = None,
    *,
    with_end: bool = False,
    progress: Progress | None = None,
) -> list[TokenScores]:
    """Both models on the same tokens: all of every document, and its end (as the EOS) where `with_end`.

    The documents' ids are those of the index's vocabulary, which is the neural model's: `require_vocabulary`.
    """
    end = (infinigram.eos_id,) if with_end else ()
    neural = neural_logprobs(model, [(*ids, *end) for ids in documents], settings, progress=progress)
    first = num_left_out(model)
    scores = []
    for ids, logprobs in zip(documents, neural, strict=True):
        found = infinigram.score(ids, with_end=with_end)
        scores.append(
            TokenScores(logprobs, found.probs[first:], found.is_sparse[first:], found.suffix_len[first:])
        )
    return scores


def num_left_out(model: NeuralDecoder) -> int:
    """Tokens at a document's start that are not scored: 1 where the model has nothing to put before it."""
    return 0 if model.num_prepended else 1


def require_vocabulary(infinigram: InfinigramModel, fingerprint: str) -> None:
    """UsageError unless the index's tokens are those of the tokenizer with this fingerprint."""
    if infinigram.index.vocabulary.fingerprint != fingerprint:
        raise UsageError(
            "The index was built with another vocabulary than the neural model's, so their tokens cannot be "
            "compared. Build the index with this model's tokenizer."
        )


def _chunks(documents: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, ...]]]:
    chunk: list[tuple[int, ...]] = []
    num_tokens = 0
    for ids in documents:
        chunk.append(tuple(int(token_id) for token_id in ids))
        num_tokens += len(ids)
        if num_tokens >= _CHUNK_TOKENS:
            yield chunk
            chunk, num_tokens = [], 0
    if chunk:
        yield chunk
