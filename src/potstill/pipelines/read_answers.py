"""Answers that an encoder finds: the likeliest span of the context, by its head for their two ends."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from potstill.errors import UsageError
from potstill.lm.span_scoring import SpanReader
from potstill.pipelines.held import Held
from potstill.pipelines.question_answering import Answer, Question
from potstill.progress import Task
from potstill.tokenization.tokenizer import Tokenizer


class _Window(NamedTuple):
    """A piece of a context that is read at once, where it begins, and the characters of its tokens."""

    text: str
    start: int
    spans: list[tuple[int, int]]


class ReadAnswers:
    """A score is the chance of the first token times that of the last, in the window they were found in."""

    def __init__(self, held: Held[SpanReader]) -> None:
        self._held = held

    @property
    def tokenizer(self) -> Tokenizer:
        return self._held.model.reader.tokenizer

    def answers(
        self, asked: Sequence[Question], *, top_k: int, max_answer_len: int, task: Task
    ) -> list[list[Answer]]:
        found = []
        for one in asked:
            windows = list(self._windows(one))
            logits = self._held.model.logits([(one.question, window.text) for window in windows])
            answers: dict[tuple[int, int], Answer] = {}
            for window, scores in zip(windows, logits, strict=True):
                for answer in _best(one.context, window, scores, top_k, max_answer_len):
                    known = answers.get(answer[:2])
                    answers[answer[:2]] = max(answer, known) if known else answer
            found.append(sorted(answers.values(), key=lambda answer: -answer.score)[:top_k])
            task.advance()
        return found

    def _windows(self, one: Question) -> Iterator[_Window]:
        """The context in pieces that the model can read, each the second half of the one before."""
        (alone,) = self.tokenizer.encode_whole([(one.question, "")])
        (context,) = self.tokenizer.encode_spans([one.context])
        if not context.ids:
            raise UsageError("A context has no tokens: its characters are none that this model reads.")
        room = self._held.model.reader.max_tokens - len(alone.ids)
        first = end = 0
        while end < len(context.ids):
            window, end = self._window(one.context, context.spans, first, room)
            yield window
            first += max(1, (end - first) // 2)

    def _window(
        self, context: str, spans: Sequence[tuple[int, int]], first: int, room: int
    ) -> tuple[_Window, int]:
        """A piece that begins with token `first` of the context, and which token comes after it."""
        start = spans[first][0]
        for end in range(min(first + room, len(spans)), first, -1):
            text = context[start : spans[end - 1][1]]
            (piece,) = self.tokenizer.encode_spans([text])
            # Alone it may have more tokens than it had in the whole.
            if len(piece.ids) <= room:
                return _Window(text, start, piece.spans), end
        raise UsageError("A question leaves no room for its context. Shorten it.")


def _best(
    context: str, window: _Window, logits: np.ndarray, top_k: int, max_answer_len: int
) -> Iterator[Answer]:
    """Spans of at most so many tokens; the first token of all stands for no answer, and has a share too."""
    num_tokens = len(window.spans)
    # The context stands before the last special token.
    first = len(logits) - 1 - num_tokens
    kept = np.concatenate([logits[:1], logits[first : first + num_tokens]])  # [1 + T, 2]
    kept = kept - kept.max(0)
    starts, ends = (kept - np.log(np.exp(kept).sum(0)))[1:].T
    logprobs = np.add.outer(starts, ends)  # [T, T]; in the end a chance may be too small for a number
    logprobs[
        np.tri(num_tokens, k=-1) + np.tri(num_tokens, k=-min(max_answer_len, num_tokens)).T > 0
    ] = -np.inf
    for flat in np.argsort(-logprobs, axis=None, kind="stable")[:top_k]:
        begin, end = divmod(int(flat), num_tokens)
        if np.isfinite(logprobs[begin, end]):
            yield _answer(context, window, begin, end, float(np.exp(logprobs[begin, end])))


def _answer(context: str, window: _Window, begin: int, end: int, score: float) -> Answer:
    """In whole words, without the space that a token may begin with."""
    start, stop = window.start + window.spans[begin][0], window.start + window.spans[end][1]
    while start < stop and context[start].isspace():
        start += 1
    while 0 < start < stop and context[start - 1].isalnum() and context[start].isalnum():
        start -= 1
    while start < stop < len(context) and context[stop - 1].isalnum() and context[stop].isalnum():
        stop += 1
    return Answer(start, stop, score)
