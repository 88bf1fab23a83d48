"""What bytes a token stands for: vocabularies spell text in a handful of ways, told from their decoders."""

import json
import re
from typing import Any, Protocol

import tokenizers

from potstill.errors import DamagedError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Spelling(Protocol):
    def bytes_of(self, piece: str) -> bytes: ...


class SentencePieceSpelling:
    """U+2581 is a space; `<0x0A>` is a byte where the vocabulary falls back to bytes."""

    def __init__(self, has_byte_tokens: bool) -> None:
        self._has_byte_tokens = has_byte_tokens

    def bytes_of(self, piece: str) -> bytes:
        if self._has_byte_tokens and (match := _BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(match[1], 16)])
        return piece.replace("\u2581", " ").encode()


class ByteLevelSpelling:
    """Each byte is one printable character (Radford et al. 2019, the GPT-2 encoder's table)."""

    def __init__(self) -> None:
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        self._byte_of = {chr(byte): byte for byte in printable}
        self._byte_of |= {chr(256 + place): byte for place, byte in enumerate(others)}

    def bytes_of(self, piece: str) -> bytes:
        try:
            return bytes(self._byte_of[character] for character in piece)
        except KeyError:
            return piece.encode()


class WordSpelling:
    """Words that a space parts; `joint` begins a piece that goes on with the word before it (WordPiece)."""

    def __init__(self, joint: str | None = None) -> None:
        self._joint = joint

    def bytes_of(self, piece: str) -> bytes:
        if self._joint and piece.startswith(self._joint):
            return piece.removeprefix(self._joint).encode()
        return b" " + piece.encode()


class WordEndSpelling:
    """A mark at the end of a piece ends the word (Sennrich et al. 2016, byte-pair encoding)."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def bytes_of(self, piece: str) -> bytes:
        return piece.replace(self._mark, " ").encode()


def spelling_of(backend: tokenizers.Tokenizer) -> Spelling:
    """Told from the decoder; DamagedError for one that joins tokens in no way known here."""
    decoders = {part["type"]: part for part in _decoders(backend)}
    kinds = decoders.keys()
    if "ByteLevel" in kinds:
        return ByteLevelSpelling()
    if kinds & {"Metaspace", "ByteFallback", "Replace"}:
        return SentencePieceSpelling("ByteFallback" in kinds)
    if "WordPiece" in kinds:
        return WordSpelling(decoders["WordPiece"]["prefix"])
    if "BPEDecoder" in kinds:
        return WordEndSpelling(decoders["BPEDecoder"]["suffix"])
    if not kinds:
        # The library joins tokens by spaces where it is told nothing.
        return WordSpelling()
    raise DamagedError(
        f"This tokenizer joins its tokens in a way potstill does not know ({', '.join(sorted(kinds))}). "
        f"Use a model with a SentencePiece, byte-level or WordPiece vocabulary."
    )


def _decoders(backend: tokenizers.Tokenizer) -> list[dict[str, Any]]:
    if backend.decoder is None:
        return []
    state: dict[str, Any] = json.loads(backend.decoder.__getstate__())
    parts: list[dict[str, Any]] = state.get("decoders", [state])
    return parts
