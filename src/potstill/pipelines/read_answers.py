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
        reader = self._held.model.reader
        (alone,) = self.tokenizer.encode_whole([(one.question, "")])
        (context,) = self.tokenizer.encode_spans([one.context])
        # A piece may have a token more than it had in the whole.
        room = reader.max_tokens - len(alone.ids) - 2
        if room < 2:
            raise UsageError(f"A question of {len(alone.ids):,} tokens leaves no room for its context.")
        for first in range(0, max(1, len(context.ids)), max(1, room // 2)):
            last = min(first + room, len(context.ids)) - 1
            start = context.spans[first][0]
            text = one.context[start : context.spans[last][1]]
            (piece,) = self.tokenizer.encode_spans([text])
            yield _Window(text, start, piece.spans)
            if last == len(context.ids) - 1:
                return


def _best(
    context: str, window: _Window, logits: np.ndarray, top_k: int, max_answer_len: int
) -> Iterator[Answer]:
    """Spans of at most so many tokens; the first token of all stands for no answer, and has a share too."""
    num_tokens = len(window.spans)
    # The context stands before the last special token.
    first = len(logits) - 1 - num_tokens
    kept = np.concatenate([logits[:1], logits[first : first + num_tokens]])  # [1 + T, 2]
    odds = np.exp(kept - kept.max(0))
    starts, ends = (odds / odds.sum(0))[1:].T
    chances = np.triu(np.outer(starts, ends)) - np.triu(np.outer(starts, ends), max_answer_len)
    for flat in np.argsort(-chances, axis=None, kind="stable")[:top_k]:
        begin, end = divmod(int(flat), num_tokens)
        if chances[begin, end] > 0:
            yield _answer(context, window, begin, end, float(chances[begin, end]))


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
