"""Text as its tokens arrive, never showing half a character."""

import codecs
from typing import Self

from potstill.tokenization.tokenizer import Tokenizer


class TextStream:
    """What `push` and `finish` return, joined, is the text of all pushed tokens.

    It is text that goes on from a prompt, so a space that a vocabulary puts before its first word stays.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The characters that this token completes."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def fork(self) -> Self:
        """A stream that goes on from the same tokens, for another text with this beginning."""
        other = type(self)(self._tokenizer)
        other._decoder.setstate(self._decoder.getstate())
        return other

    def finish(self) -> str:
        """What is left: U+FFFD for a character that was never completed."""
        return self._decoder.decode(b"", final=True)
