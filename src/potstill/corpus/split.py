"""The documents of some sources in runs of about equal size, in order: a run is read and built by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from potstill.corpus.cutting import cut_for
from potstill.corpus.reading import SourceReader
from potstill.corpus.source_files import SourceFile, find_source_files
from potstill.corpus.vocabulary import Vocabulary
from potstill.errors import MissingError
from potstill.progress import Progress, Silent

_MB = 1e6
Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """The documents numbered from `first` up to `stop` of `files`, counted over all of them from 0."""

    files: tuple[SourceFile, ...]
    first: int
    stop: int

    @property
    def documents(self) -> range:
        return range(self.first, self.stop)


def split_sources(
    sources: Sequence[Path],
    num_slices: int,
    vocabulary: Vocabulary,
    *,
    field: str | None = None,
    progress: Progress | None = None,
) -> list[Slice]:
    """At most `num_slices` runs that together are all documents of `sources`, each of one document or more.

    Depends on the sources alone. Everything is read once, to know where documents begin and how long they
    are; a document is never split. MissingError where there is none.
    """
    found = find_source_files(sources)
    reader = SourceReader(field, cut_for(vocabulary), skips_mark=vocabulary.kind == "tokenizer")
    total = sum(file.size for file in found.files) / _MB
    with (progress or Silent()).task("measure", total, "MB") as task:
        files, sizes = [], []
        for number, file in enumerate(found.files):
            for size in _document_sizes(reader, file):
                files.append(number)
                sizes.append(size)
            task.advance(file.size / _MB)
    if not sizes:
        raise MissingError(f"No text in {', '.join(map(str, sources))}: nothing to build from.")
    borders = split_sizes(np.array(sizes, np.int64), num_slices)
    return [_slice(found.files, np.array(files), *run) for run in pairwise(borders)]


def split_sizes(sizes: Sizes, num_runs: int) -> list[int]:
    """Borders of at most `num_runs` runs of one or more, whose sums of `sizes` [N] are about the same."""
    num_runs = min(num_runs, len(sizes))
    # An empty document has a size too: something is written for it.
    sums = np.concatenate(([0], np.cumsum(sizes + 1)))
    borders = [0]
    for run in range(1, num_runs):
        nearest = int(np.searchsorted(sums, sums[-1] * run / num_runs))
        borders.append(min(max(nearest, borders[-1] + 1), len(sizes) - num_runs + run))
    return [*borders, len(sizes)]


def _document_sizes(reader: SourceReader, file: SourceFile) -> Iterator[int]:
    size = 0
    for placed in reader.read([file]):
        size += len(placed.piece.content)
        if placed.piece.is_last:
            yield size
            size = 0


def _slice(files: Sequence[SourceFile], file_of: NDArray[np.int64], first: int, stop: int) -> Slice:
    """With the files that hold those documents, and none of the others."""
    begin, end = int(file_of[first]), int(file_of[stop - 1])
    before = int(np.searchsorted(file_of, begin))
    return Slice(tuple(files[begin : end + 1]), first - before, stop - before)
