"""How a phrase is written in tokens from any place on: what steers a text towards it.

The vocabulary's own cut of the phrase, behind a space or not. It only steers: whether a phrase has come is
seen in the characters, however tokens cut them.
"""

from collections.abc import Sequence
from typing import Protocol

TokenIds = tuple[int, ...]


class PhraseVocabulary(Protocol):
    """`potstill.tokenization.tokenizer.Tokenizer` without its prefix is one."""

    def encode(self, text: str) -> list[int]: ...

    def token_bytes(self, token_id: int) -> bytes: ...


class PhraseTokens:
    """Ways to write the phrases, which are counted from 0; None where the vocabulary has none."""

    def __init__(self, vocabulary: PhraseVocabulary, phrases: Sequence[str]) -> None:
        self._vocabulary, self._phrases = vocabulary, tuple(phrases)
        self._spaced = [self._written(" " + phrase) for phrase in phrases]
        self._plain = [self._plain_of(*one) for one in zip(phrases, self._spaced, strict=True)]
        self._rest: list[dict[int, TokenIds]] = [
            self._rests(*one) for one in zip(phrases, self._spaced, self._plain, strict=True)
        ]

    def spaced(self, phrase: int) -> TokenIds | None:
        """With a space before it."""
        return self._spaced[phrase]

    def plain(self, phrase: int) -> TokenIds | None:
        """Where a space, or no letter, stands before it."""
        return self._plain[phrase]

    def shortest(self, phrase: int) -> TokenIds | None:
        """Behind any word."""
        return self._spaced[phrase] or self._plain[phrase]

    def rest(self, phrase: int, num_characters: int, half_character: bytes) -> TokenIds | None:
        """From behind the first of its characters and the bytes of one more that is cut in two."""
        text = self._phrases[phrase]
        left = text[num_characters:]
        if not left.encode().startswith(half_character):
            return None
        num_bytes = len(text[:num_characters].encode()) + len(half_character)
        rests = self._rest[phrase]
        if num_bytes not in rests and not half_character:
            # Other tokens than these led here.
            rests[num_bytes] = self._written(left) or ()
        return rests.get(num_bytes) or None

    def _written(self, text: str) -> TokenIds | None:
        """None where the vocabulary has other characters for it, as one without capitals."""
        ids = tuple(self._vocabulary.encode(text))
        # Some vocabularies end words with a space.
        return ids if self._spelt(ids).removesuffix(b" ") == text.encode().removesuffix(b" ") else None

    def _plain_of(self, phrase: str, spaced: TokenIds | None) -> TokenIds | None:
        plain = self._written(phrase)
        if spaced and self._spelt(spaced[:1]) == b" " and len(spaced) > 1:
            return min((spaced[1:], plain or spaced[1:]), key=len)
        return plain

    def _rests(self, phrase: str, spaced: TokenIds | None, plain: TokenIds | None) -> dict[int, TokenIds]:
        """The tokens that are left by the bytes of the phrase that are written."""
        rests: dict[int, TokenIds] = {}
        for ids, num_before in ((spaced, 1), (plain, 0)):
            num_bytes = -num_before
            for index, token_id in enumerate(ids or ()):
                left = ids[index:] if ids else ()
                if num_bytes > 0 and len(left) < len(rests.get(num_bytes, (*left, 0))):
                    rests[num_bytes] = left
                num_bytes += len(self._vocabulary.token_bytes(token_id))
        return {num_bytes: left for num_bytes, left in rests.items() if num_bytes < len(phrase.encode())}

    def _spelt(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self._vocabulary.token_bytes, ids))
