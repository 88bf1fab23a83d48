"""The texts of bench_interpolation: Python packages, and the project's data sets; what is held out of each.

What is held out is drawn by whole packages or whole documents with a fixed seed, before anything is indexed.
"""

import gzip
import json
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from potstill.seeds import random_generator

SEED = 20240601
# A rough size, to know how much to hold out before anything is tokenized.
BYTES_A_TOKEN = 3.6
# Held out in all, times what is scored: documents that share 50 tokens with the index are removed later.
SPARE = {"python": 10.0, "records": 2.0}
# No package so large is held out (share of all bytes), nor more than this share of a data set's bytes a part.
LARGEST_PACKAGE = 0.02
LARGEST_PART = 0.10
# Longer held-out documents are cut at a blank line into passages, so that one match does not remove a book.
PASSAGE_CHARS = 32_768


Item = TypeVar("Item")
# A name and the texts of its files.
Package = tuple[str, list[str]]


class Split(NamedTuple):
    """Texts to index, to tune λ on, and to report on; `told` says how they were drawn."""

    indexed: list[str]
    tuning: list[str]
    test: list[str]
    told: dict[str, object]


@dataclass
class Part:
    """Packages held out together."""

    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    num_bytes: int = 0

    def add(self, name: str, texts: list[str]) -> None:
        self.names.append(name)
        self.texts += texts
        self.num_bytes += _size(texts)


def split_python(root: Path | None, part_tokens: int, most_bytes: int | None) -> Split:
    """The Python files of an installation's packages; `most_bytes` keeps only so much, for a trial.

    Of held-out files the comments at the head are left out: a licence that stands in a thousand files would
    decide by itself which packages can be held out.
    """
    packages = _drawn(_packages(root or Path(sysconfig.get_paths()["purelib"])), "packages")
    if most_bytes:
        packages = list(_until(packages, most_bytes))
    largest = LARGEST_PACKAGE * sum(_size(texts) for _, texts in packages)
    wanted = part_tokens * BYTES_A_TOKEN * SPARE["python"]
    parts = {"tuning": Part(), "test": Part()}
    indexed: list[str] = []
    for name, texts in packages:
        part = min(parts.values(), key=lambda part: part.num_bytes)
        if part.num_bytes < wanted and _size(texts) <= largest:
            part.add(name, [without_head(text) for text in texts])
        else:
            indexed += texts
    told: dict[str, object] = {f"{name}_packages": sorted(part.names) for name, part in parts.items()}
    tuning, test = (_drawn(part.texts, name) for name, part in parts.items())
    return Split(indexed, tuning, test, {"packages": len(packages), **told})


def split_records(files: Sequence[Path], part_tokens: int) -> Split:
    documents = [text for path in files for text in _texts(path)]
    if len(documents) < 3:
        documents = [passage for text in documents for passage in passages(text)]
    largest = LARGEST_PART * _size(documents)
    wanted = min(part_tokens * BYTES_A_TOKEN * SPARE["records"], largest)
    parts = {"tuning": Part(), "test": Part()}
    indexed: list[str] = []
    for text in _drawn(documents, "documents"):
        part = min(parts.values(), key=lambda part: part.num_bytes)
        if part.num_bytes < wanted and _size([text]) <= largest:
            part.add("", [text])
        else:
            indexed.append(text)
    tuning, test = ([passage for text in part.texts for passage in passages(text)] for part in parts.values())
    return Split(indexed, tuning, test, {"documents": len(documents)})


def without_head(text: str) -> str:
    lines = text.split("\n")
    is_head = (not line.strip() or line.startswith("#") for line in lines)
    first = next((number for number, head in enumerate(is_head) if not head), len(lines))
    return "\n".join(lines[first:])


def passages(text: str) -> list[str]:
    """A long text cut at blank lines, or at line breaks where there are none."""
    border = "\n\n" if "\n\n" in text else "\n"
    found, held, size = [], list[str](), 0
    for paragraph in text.split(border):
        if held and size + len(paragraph) > PASSAGE_CHARS:
            found.append(border.join(held))
            held, size = [], 0
        held.append(paragraph)
        size += len(paragraph) + len(border)
    return [*found, border.join(held)]


def _packages(root: Path) -> list[Package]:
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if text.strip():
            found.setdefault(path.relative_to(root).parts[0], []).append(text)
    return sorted(found.items())


def _texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") as file:
        if path.name.endswith(".txt.gz"):
            yield file.read()
        else:
            yield from (json.loads(line)["text"] for line in file)


def _drawn(items: Sequence[Item], purpose: str) -> list[Item]:
    """All items in an order drawn with the seed."""
    return [items[number] for number in random_generator(SEED, purpose).permutation(len(items))]


def _until(packages: Iterable[Package], most_bytes: int) -> Iterator[Package]:
    held = 0
    for name, texts in packages:
        if held + _size(texts) <= most_bytes:
            held += _size(texts)
            yield name, texts


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
