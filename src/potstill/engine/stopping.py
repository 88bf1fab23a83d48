"""A text as it is written, when it ends, and where it is cut: stop texts and the first sentence."""

from collections.abc import Sequence
from typing import Protocol, Self

from potstill.corpus.sentences import first_sentence
from potstill.types import SamplingParams


class TextSource(Protocol):
    """Turns tokens into text one by one, as `potstill.tokenization.streaming.TextStream` does."""

    def push(self, token_id: int) -> str:
        """The characters this token completes; none while a character is cut in two."""
        ...

    def fork(self) -> Self:
        """A source that goes on from the same tokens."""
        ...


class WrittenText:
    """Ends at the first of `params.stop`, or once its first sentence is sure to be complete."""

    def __init__(self, params: SamplingParams, source: TextSource) -> None:
        self._params, self._source = params, source
        self._overlap = max((len(stop) for stop in params.stop), default=1) - 1
        self._text = ""
        self._ended_at: int | None = None

    def push(self, token_id: int) -> bool:
        piece = self._source.push(token_id)
        if not piece:
            return False
        # A stop text may have begun in earlier tokens, by all but its last character.
        searched = max(len(self._text) - self._overlap, 0)
        self._text += piece
        self._ended_at = find_stop(self._text, self._params.stop, searched)
        if self._ended_at is not None:
            return True
        return self._params.stop_at_first_sentence and first_sentence(self._text) is not None

    def fork(self) -> "WrittenText":
        """The same text so far, to be written on otherwise."""
        other = WrittenText(self._params, self._source.fork())
        other._text, other._ended_at = self._text, self._ended_at
        return other

    def cut(self, *, is_complete: bool) -> str:
        """The text without what ended it; `is_complete` where it ended by itself, not by max_tokens."""
        text = self._text[: self._ended_at]
        if self._params.stop_at_first_sentence:
            text = first_sentence(text, is_complete=is_complete) or text
        return text


def find_stop(text: str, stops: Sequence[str], start: int = 0) -> int | None:
    """Where the earliest of `stops` begins in text[start:]."""
    found = [at for at in (text.find(stop, start) for stop in stops) if at >= 0]
    return min(found, default=None)
