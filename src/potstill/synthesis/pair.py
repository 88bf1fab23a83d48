"""The nouns of synthesis: a source, a candidate for its target, and where both came from."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Self

from potstill.types import TextPair


@dataclass(frozen=True, slots=True)
class CorpusSpan:
    """Characters [start, end) of one document: `record` is its index in the file at `path`."""

    path: str
    record: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence to write targets for, and the text it stood in.

    context  what stood before it; empty when nothing did
    seed     what it was drawn with, None when it comes from a corpus
    span     where it stands in the corpus, None when the teacher wrote it
    """

    id: str
    text: str
    context: str
    seed: int | None = None
    span: CorpusSpan | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return cls(**{**record, "span": _span(record["span"])})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that a generator proposes; `seed` is the seed its target was drawn with."""

    id: str
    source: str
    target_text: str
    context: str
    generator: str
    seed: int
    is_finished: bool
    span: CorpusSpan | None = None

    @property
    def pair(self) -> TextPair:
        return TextPair(self.source, self.target_text)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return cls(**{**record, "span": _span(record["span"])})


def to_record(item: Source | Candidate) -> dict[str, Any]:
    return asdict(item)


def pair_id(*parts: str | int) -> str:
    """Sixteen hexadecimal digits that depend on every part."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _span(record: dict[str, Any] | None) -> CorpusSpan | None:
    return None if record is None else CorpusSpan(**record)
