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
    """Ends at the first of `params.stop`, or once its first sentence is sure to be complete.

    One that does not go on from the prompt, as an encoder-decoder's, begins without the space that
    vocabularies put before a first word.
    """

    def __init__(self, params: SamplingParams, source: TextSource, *, goes_on: bool = True) -> None:
        self._params, self._source, self._goes_on = params, source, goes_on
        self._overlap = max((len(stop) for stop in params.stop), default=1) - 1
        self._text = ""
        self._num_shown = 0
        self._ended_at: int | None = None

    def push(self, token_id: int) -> bool:
        piece = self._source.push(token_id)
        if not self._goes_on and not self._text:
            piece = piece.removeprefix(" ")
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
        other = WrittenText(self._params, self._source.fork(), goes_on=self._goes_on)
        other._text, other._ended_at = self._text, self._ended_at
        other._num_shown = self._num_shown
        return other

    def cut(self, *, is_complete: bool) -> str:
        """The text without what ended it; `is_complete` where it ended by itself, not by max_tokens."""
        text = self._text[: self._ended_at]
        if self._params.stop_at_first_sentence:
            text = first_sentence(text, is_complete=is_complete) or text
        return text

    @property
    def written(self) -> str:
        """All that was written, with what ended it."""
        return self._text

    def shown_next(self) -> str:
        """More of the text, while it is written: what is sure to be in it and was not shown before."""
        if self._params.stop_at_first_sentence or self._ended_at is not None:
            return ""
        end = len(self._text) - num_held_back(self._text, self._params.stop)
        piece = self._text[self._num_shown : end]
        self._num_shown = max(self._num_shown, end)
        return piece

    def rest_of(self, text: str) -> str:
        """What was not shown yet of the text as `cut` gave it at last."""
        return text[self._num_shown :]


def num_held_back(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of a text may be the beginning of a stop text."""
    return max((_num_begun(text, stop) for stop in stops), default=0)


def _num_begun(text: str, stop: str) -> int:
    """The longest end of a text that a stop text begins with, without all of it."""
    at = text.find(stop[0], max(len(text) - len(stop) + 1, 0))
    while at >= 0:
        if stop.startswith(text[at:]):
            return len(text) - at
        at = text.find(stop[0], at + 1)
    return 0


def find_stop(text: str, stops: Sequence[str], start: int = 0) -> int | None:
    """Where the earliest of `stops` begins in text[start:]."""
    found = [at for at in (text.find(stop, start) for stop in stops) if at >= 0]
    return min(found, default=None)
