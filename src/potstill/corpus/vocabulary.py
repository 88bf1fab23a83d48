"""What the tokens of a corpus are: the bytes of its files, or the pieces of a tokenizer.

A vocabulary is kept with what was built from it (folder `vocabulary/`), so that a query is cut as the corpus
was. Token ids count from 0 to vocab_size - 1; control tokens never come from text.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.errors import ConfigError, DamagedError, UsageError
from potstill.files import sha256_of, write_json
from potstill.settings import from_table, to_table
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer

VOCABULARY_SCHEMA = "potstill.vocabulary/1"
MAX_VOCAB_SIZE = (1 << 32) - 2
_FILE = "vocabulary.json"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

Ids = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class VocabularyFacts:
    """What sealed files say of a vocabulary: enough to see that two are the same.

    kind         bytes or tokenizer
    vocab_size   token ids are in [0, vocab_size)
    fingerprint  lower-case hexadecimal; equal for vocabularies that give every text the same ids
    eos_id       the token that ends a text, None where there is none
    """

    kind: Literal["bytes", "tokenizer"]
    vocab_size: int
    fingerprint: str
    eos_id: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ConfigError(f"vocab_size is {self.vocab_size}; it must be in [1, 2**32 - 2].")
        if not _FINGERPRINT.fullmatch(self.fingerprint):
            raise ConfigError("fingerprint is not hexadecimal.")
        if self.eos_id is not None and not 0 <= self.eos_id < self.vocab_size:
            raise ConfigError(f"eos_id is {self.eos_id}; the vocabulary ends at {self.vocab_size}.")


@dataclass(frozen=True)
class _Saved:
    """vocabulary.json: `files` are the SHA-256 of the files beside it."""

    vocabulary: VocabularyFacts
    files: dict[str, str]


class Vocabulary(Protocol):
    """kind, vocab_size, fingerprint (equal for equal ways to cut text), eos_id (None where there is none)."""

    @property
    def kind(self) -> Literal["bytes", "tokenizer"]: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def eos_id(self) -> int | None: ...
    @property
    def facts(self) -> VocabularyFacts: ...

    def encode_documents(self, documents: Sequence[bytes | str]) -> list[Ids]:
        """The ids of whole documents, as the corpus holds them."""
        ...

    def encode_query(self, text: str | bytes) -> list[int]:
        """The ids of `text` as it stands inside a document: no special tokens, no space put before it."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token stands for; none for a control token."""
        ...

    def token_text(self, token_id: int) -> str:
        """A token as it is shown: bytes that are no text of their own as `\\xe2`, a control token's name."""
        ...

    def bytes_of(self, ids: Sequence[int] | Ids) -> bytes:
        """The bytes that these tokens stand for, one after another."""
        ...

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """`bytes_of` as text, U+FFFD where it is not UTF-8."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load_vocabulary` reads; the folder is made where it does not exist."""
        ...


class ByteVocabulary:
    """Every byte is a token of its own value, whatever the encoding: counts are counts of substrings."""

    kind: Literal["bytes", "tokenizer"] = "bytes"
    vocab_size = 256
    fingerprint = hashlib.sha256(b"potstill bytes").hexdigest()
    eos_id: int | None = None

    @property
    def facts(self) -> VocabularyFacts:
        return VocabularyFacts(self.kind, self.vocab_size, self.fingerprint, self.eos_id)

    def encode_documents(self, documents: Sequence[bytes | str]) -> list[Ids]:
        return [np.frombuffer(as_bytes(document), np.uint8).astype(np.uint32) for document in documents]

    def encode_query(self, text: str | bytes) -> list[int]:
        return list(as_bytes(text))

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if 0 <= token_id < 256 else b""

    def token_text(self, token_id: int) -> str:
        return self.token_bytes(token_id).decode(errors="backslashreplace")

    def bytes_of(self, ids: Sequence[int] | Ids) -> bytes:
        return np.asarray(ids, np.uint8).tobytes()

    def decode(self, ids: Sequence[int] | Ids) -> str:
        return self.bytes_of(ids).decode(errors="replace")

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_sealed(folder / _FILE, VOCABULARY_SCHEMA, to_table(_Saved(self.facts, {})))


class TokenizerVocabulary:
    """The tokens of a tokenizer.

    Documents are cut as the tokenizer cuts a text, so where it puts a space before its first word, a document
    begins with that space; `encode_query` leaves it out. Bytes that are not UTF-8 become one U+FFFD each.
    """

    kind: Literal["bytes", "tokenizer"] = "tokenizer"

    def __init__(self, tokenizer: Tokenizer, facts: VocabularyFacts | None = None) -> None:
        """`facts` are those of a saved copy, which then need not be worked out again."""
        self.tokenizer = tokenizer
        self._facts = facts

    @cached_property
    def facts(self) -> VocabularyFacts:
        if self._facts is not None:
            return self._facts
        tokenizer = self.tokenizer
        eos_id = tokenizer.eos_ids[0] if tokenizer.eos_ids else None
        return VocabularyFacts(self.kind, tokenizer.vocab_size, tokenizer.fingerprint, eos_id)

    @property
    def vocab_size(self) -> int:
        return self.facts.vocab_size

    @property
    def fingerprint(self) -> str:
        return self.facts.fingerprint

    @property
    def eos_id(self) -> int | None:
        return self.facts.eos_id

    @cached_property
    def continuing(self) -> Tokenizer:
        """The tokenizer of text that goes on inside a document."""
        return self.tokenizer.without_prefix()

    def encode_documents(self, documents: Sequence[bytes | str]) -> list[Ids]:
        texts = [as_text(document) for document in documents]
        return [np.array(ids, np.uint32) for ids in self.tokenizer.encode_batch(texts)]

    def encode_query(self, text: str | bytes) -> list[int]:
        return self.continuing.encode(as_text(text))

    def token_bytes(self, token_id: int) -> bytes:
        return self.tokenizer.token_bytes(token_id)

    def token_text(self, token_id: int) -> str:
        spelled = self.token_bytes(token_id)
        return spelled.decode(errors="backslashreplace") if spelled else self.tokenizer.piece(token_id)

    def bytes_of(self, ids: Sequence[int] | Ids) -> bytes:
        return b"".join(map(self.tokenizer.token_bytes, np.asarray(ids).tolist()))

    def decode(self, ids: Sequence[int] | Ids) -> str:
        return self.bytes_of(ids).decode(errors="replace")

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)
        # Further ends of a text have no place in tokenizer_config.json.
        write_json(folder / "generation_config.json", {"eos_token_id": list(self.tokenizer.eos_ids)})
        names = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
        sums = {name: sha256_of(folder / name) for name in names}
        write_sealed(folder / _FILE, VOCABULARY_SCHEMA, to_table(_Saved(self.facts, sums)))


def load_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary that was saved in `folder`; DamagedError where one of its files was altered."""
    path = folder / _FILE
    try:
        saved = from_table(_Saved, read_sealed(path, VOCABULARY_SCHEMA))
    except ConfigError as error:
        raise DamagedError(f"{path}: {error} Copy the folder again, or build it again.") from None
    if saved.vocabulary.kind == "bytes":
        return ByteVocabulary()
    for name, digest in sorted(saved.files.items()):
        file = folder / Path(name).name
        if not file.is_file() or sha256_of(file) != digest:
            raise DamagedError(f"{file} is missing or was altered. Copy the folder again, or build it again.")
    return TokenizerVocabulary(load_tokenizer(folder), saved.vocabulary)


def as_bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The text holds {text[error.start]!r}, half of a surrogate pair, which is no character. "
            f"Give it as bytes, or read it with errors='replace'."
        ) from None


def as_text(text: str | bytes) -> str:
    """Bytes as text: each byte that is no part of a UTF-8 character becomes one U+FFFD."""
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="surrogateescape").translate(_ESCAPED)


_ESCAPED = {0xDC00 + byte: "\ufffd" for byte in range(0x80, 0x100)}
