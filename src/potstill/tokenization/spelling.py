"""What bytes a token stands for: vocabularies spell bytes as text in one of two ways."""

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


def spelling_of(backend: tokenizers.Tokenizer) -> Spelling:
    """Told from the decoder; DamagedError for a vocabulary that spells in neither way."""
    kinds = _decoder_kinds(backend)
    if "ByteLevel" in kinds:
        return ByteLevelSpelling()
    if kinds & {"Metaspace", "ByteFallback", "Replace"}:
        return SentencePieceSpelling("ByteFallback" in kinds)
    found = ", ".join(sorted(kinds)) or "none"
    raise DamagedError(
        f"This tokenizer joins its tokens in a way potstill does not know ({found}). "
        f"Use a model with a SentencePiece or byte-level vocabulary."
    )


def _decoder_kinds(backend: tokenizers.Tokenizer) -> set[str]:
    if backend.decoder is None:
        return set()
    state: dict[str, Any] = json.loads(backend.decoder.__getstate__())
    return {part["type"] for part in state.get("decoders", [state])}
