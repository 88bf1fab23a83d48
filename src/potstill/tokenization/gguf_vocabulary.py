"""The vocabulary inside a GGUF file, and the `tokenizers` pipeline that cuts text as llama.cpp does with it.

Two kinds are read: `llama` (SentencePiece: scores, byte fallback, no merges) and `gpt2` (byte-level BPE with
its merges). Building the first takes seconds for a large vocabulary, so `cached_backend` keeps the outcome.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

from potstill.errors import DamagedError, DiskFull, LockedError, UsageError
from potstill.files import write_bytes
from potstill.locks import locked
from potstill.tokenization.merges import merges_by_score
from potstill.tokenization.pre_tokenizers import byte_level_cuts

# A new number makes every cached tokenizer be built again.
_BUILD_VERSION = 2
_METASPACE = "\u2581"


class TokenKind(IntEnum):
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class GgufVocabulary:
    """`scores` are empty for the kind `gpt2`, `merges` for the kind `llama`."""

    kind: str
    cuts: str
    tokens: list[str]
    scores: list[float]
    kinds: list[int]
    merges: list[str]
    adds_space: bool
    bos_id: int | None
    eos_ids: tuple[int, ...]
    unknown_id: int | None
    pad_id: int | None
    adds_bos: bool
    chat_template: str | None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], path: Path) -> "GgufVocabulary":
        """Raises DamagedError when a list is missing, or of the wrong type or length."""
        return _MetadataReader(metadata, path).read()

    def content_hash(self) -> str:
        parts = [
            _BUILD_VERSION,
            tokenizers.__version__,
            self.kind,
            self.cuts,
            len(self.tokens),
            len(self.scores),
        ]
        parts += [len(self.merges), self.adds_space, self.bos_id, self.unknown_id]
        digest = hashlib.sha256(json.dumps(parts).encode())
        # The lists as JSON take longer than all else that is done with a vocabulary that was built before.
        digest.update(np.array(self.scores, np.float64).tobytes() + np.array(self.kinds, np.int64).tobytes())
        for texts in (self.tokens, self.merges):
            digest.update(np.fromiter(map(len, texts), np.int64, len(texts)).tobytes())
            digest.update("".join(texts).encode())
        return digest.hexdigest()


class _MetadataReader:
    def __init__(self, metadata: Mapping[str, Any], path: Path) -> None:
        self._metadata, self._path = metadata, path

    def read(self) -> GgufVocabulary:
        tokens = self._list("tokens", str, None)
        kinds = self._list("token_type", int, len(tokens)) or [TokenKind.NORMAL] * len(tokens)
        kind = self._one("model", str)
        if kind not in ("llama", "gpt2") or not tokens:
            self._fail(f"its vocabulary is of the kind {kind!r}; potstill reads 'llama' and 'gpt2'")
        if len(set(tokens)) < len(tokens):
            self._fail("a token stands twice in its vocabulary")
        eos = [self._id(name, len(tokens)) for name in ("eos_token_id", "eot_token_id", "eom_token_id")]
        adds_bos, adds_space = self._one("add_bos_token", bool), self._one("add_space_prefix", bool)
        return GgufVocabulary(
            kind=kind,
            cuts=self._one("pre", str) or "default",
            tokens=tokens,
            scores=self._scores(len(tokens)) if kind == "llama" else [],
            kinds=kinds,
            merges=self._list("merges", str, None) if kind == "gpt2" else [],
            # What llama.cpp takes where a file does not say.
            adds_space=kind == "llama" if adds_space is None else adds_space,
            bos_id=self._id("bos_token_id", len(tokens)),
            eos_ids=tuple(dict.fromkeys(token_id for token_id in eos if token_id is not None)),
            unknown_id=self._id("unknown_token_id", len(tokens)),
            pad_id=self._id("padding_token_id", len(tokens)),
            adds_bos=kind == "llama" if adds_bos is None else adds_bos,
            chat_template=self._metadata.get("tokenizer.chat_template"),
        )

    def _scores(self, num_tokens: int) -> list[float]:
        scores = self._list("scores", float, num_tokens)
        if not scores or np.isnan(scores).any():
            self._fail("its vocabulary has no scores, or scores that are not numbers")
        return scores

    def _list(self, name: str, kind: type, length: int | None) -> list[Any]:
        values = self._metadata.get(f"tokenizer.ggml.{name}", [])
        if not isinstance(values, list) or set(map(type, values)) - {kind}:
            self._fail(f"tokenizer.ggml.{name} is not a list of {kind.__name__}")
        if values and length is not None and len(values) != length:
            self._fail(f"tokenizer.ggml.{name} has {len(values):,} entries for {length:,} tokens")
        return values

    def _one(self, name: str, kind: type) -> Any:
        value = self._metadata.get(f"tokenizer.ggml.{name}")
        if value is not None and type(value) is not kind:
            self._fail(f"tokenizer.ggml.{name} is {value!r}, not a {kind.__name__}")
        return value

    def _id(self, name: str, num_tokens: int) -> int | None:
        value: int | None = self._one(name, int)
        # Some writers put 2^32 - 1 where there is no such token.
        return value if value is not None and 0 <= value < num_tokens else None

    def _fail(self, reason: str) -> NoReturn:
        raise DamagedError(
            f"{self._path}: {reason}. Convert the model to GGUF again, or use its safetensors."
        )


def cached_backend(vocabulary: GgufVocabulary, cache: Path) -> tokenizers.Tokenizer:
    """The built tokenizer, from `cache` if the same vocabulary was built before."""
    path = cache / f"{vocabulary.content_hash()}.json"
    found = _read_cached(path)
    if found is not None:
        return found
    backend = build_backend(vocabulary)
    try:
        with locked(cache):
            content = backend.to_str().encode()
            write_bytes(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    except (LockedError, DiskFull, UsageError, OSError):
        # The cache only saves time: another process fills it, or there is no place for it.
        pass
    return backend


def build_backend(vocabulary: GgufVocabulary) -> tokenizers.Tokenizer:
    build = _sentencepiece_bpe if vocabulary.kind == "llama" else _byte_level_bpe
    backend = build(vocabulary, {text: token_id for token_id, text in enumerate(vocabulary.tokens)})
    by_kind = list(zip(vocabulary.kinds, vocabulary.tokens, strict=True))
    control = (TokenKind.CONTROL, TokenKind.UNKNOWN)
    # Both are cut out of the raw text before anything else sees it, as llama.cpp does.
    backend.add_tokens([_whole(text) for kind, text in by_kind if kind == TokenKind.USER_DEFINED and text])
    backend.add_special_tokens(
        [_whole(text, special=True) for kind, text in by_kind if kind in control and text]
    )
    return backend


def _whole(text: str, *, special: bool = False) -> AddedToken:
    return AddedToken(text, special=special, normalized=False)


def _sentencepiece_bpe(vocabulary: GgufVocabulary, id_of: Mapping[str, int]) -> tokenizers.Tokenizer:
    apart = (TokenKind.CONTROL, TokenKind.UNKNOWN, TokenKind.BYTE)
    mergeable = [kind not in apart for kind in vocabulary.kinds]
    unknown = None if vocabulary.unknown_id is None else vocabulary.tokens[vocabulary.unknown_id]
    merges = merges_by_score(id_of, vocabulary.scores, mergeable)
    model = models.BPE(dict(id_of), merges, unk_token=unknown, fuse_unk=False, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    prefix = [normalizers.Prepend(_METASPACE)] if vocabulary.adds_space else []
    backend.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", _METASPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if vocabulary.adds_space else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_METASPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return backend


def _byte_level_bpe(vocabulary: GgufVocabulary, id_of: Mapping[str, int]) -> tokenizers.Tokenizer:
    cuts = byte_level_cuts(vocabulary.cuts)
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in vocabulary.merges)]
    try:
        model = models.BPE(dict(id_of), merges, ignore_merges=cuts.takes_whole_words)
    except Exception as error:  # the library raises nothing narrower
        raise DamagedError(f"The merges of this GGUF vocabulary do not fit its tokens: {error}.") from None
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = cuts.normalizer
    backend.pre_tokenizer = cuts.pre_tokenizer
    backend.decoder = decoders.ByteLevel()
    return backend


def _read_cached(path: Path) -> tokenizers.Tokenizer | None:
    """What was kept at `path`; None when nothing was, or when it is not what was written."""
    if not path.is_file():
        return None
    digest, _, content = path.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    return tokenizers.Tokenizer.from_str(content.decode())
