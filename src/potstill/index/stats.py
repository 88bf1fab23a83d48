"""What an index holds and what it takes on the disk."""

from dataclasses import dataclass
from pathlib import Path

from potstill.index.manifest import SEGMENTS, Manifest, read_manifest
from potstill.index.open import checked_header
from potstill.index.segment_files import BIGRAM_RANKS, BIGRAM_ROWS, BIGRAM_SECONDS, SUFFIXES, UNIGRAMS

# What answers queries; the rest tells where a document came from.
_QUERY_FILES = ("tokens.bin", SUFFIXES, UNIGRAMS, BIGRAM_ROWS, BIGRAM_SECONDS, BIGRAM_RANKS)


@dataclass(frozen=True)
class SegmentStats:
    """A segment: `sign` -1 where it holds deleted documents, `files` in bytes by name."""

    name: str
    sign: int
    num_documents: int
    num_tokens: int
    symbol_bytes: int
    has_tables: bool
    files: dict[str, int]


@dataclass(frozen=True)
class IndexStats:
    """Counts are of live documents. `query_bytes` are tokens, suffixes and tables; `num_bytes` all files."""

    manifest: Manifest
    segments: tuple[SegmentStats, ...]

    @property
    def num_bytes(self) -> int:
        return sum(sum(segment.files.values()) for segment in self.segments)

    @property
    def query_bytes(self) -> int:
        return sum(segment.files.get(name, 0) for segment in self.segments for name in _QUERY_FILES)

    @property
    def bytes_per_token(self) -> float | None:
        """Of `query_bytes`; None where the index holds no token."""
        num_tokens = self.manifest.num_tokens
        return self.query_bytes / num_tokens if num_tokens > 0 else None


def index_stats(index: Path) -> IndexStats:
    """From the headers alone: nothing is mapped. Raises as `open_generation` does."""
    manifest = read_manifest(index)
    segments = []
    for entry in manifest.segments:
        header = checked_header(index / SEGMENTS / entry.name, entry)
        segments.append(
            SegmentStats(
                name=entry.name,
                sign=entry.sign,
                num_documents=entry.num_documents,
                num_tokens=entry.num_tokens,
                symbol_bytes=header.symbol_bytes,
                has_tables=header.has_tables,
                files=dict(header.files),
            )
        )
    return IndexStats(manifest, tuple(segments))
