"""Which reader a file name asks for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from potstill.errors import UsageError

Kind = Literal["jsonl", "parquet", "csv", "text"]
Compression = Literal["none", "gz", "zst"]

_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True, slots=True)
class Format:
    kind: Kind
    compression: Compression
    delimiter: str = ","


def format_of(path: Path) -> Format | None:
    """The format by the file's suffixes, or None for a name that no reader takes."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression: Compression = "none"
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        compression = _COMPRESSIONS[suffixes.pop()]
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or (kind == "parquet" and compression != "none"):
        return None
    return Format(kind, compression, "\t" if suffixes[-1] == ".tsv" else ",")


def require_format(path: Path) -> Format:
    found = format_of(path)
    if found is None:
        raise UsageError(
            f"{path} has a name that no reader takes. Known are {', '.join(_KINDS)}, each but .parquet also "
            f"with .gz or .zst after it: rename the file to what it holds, or convert it."
        )
    return found
