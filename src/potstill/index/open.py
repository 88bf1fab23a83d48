"""An index as it is at one moment: all files of one generation mapped at once.

A writer may swap the manifest and remove segments at any time. Files that are mapped stay readable, so an
open index answers from its generation until it is let go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill import _native
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import Vocabulary, load_vocabulary
from potstill.errors import DamagedError, MissingError
from potstill.files import sha256_of
from potstill.index.commit import vocabulary_name
from potstill.index.manifest import SEGMENTS, VOCABULARIES, Manifest, SegmentEntry, read_manifest
from potstill.index.native_errors import damage_told
from potstill.index.segment_files import (
    HEADER,
    SegmentHeader,
    check_files,
    read_header,
)


@dataclass(frozen=True)
class OpenSegment:
    entry: SegmentEntry
    folder: Path
    header: SegmentHeader
    store: Store
    native: _native.Segment


@dataclass(frozen=True)
class OpenIndex:
    """One generation of an index.

    segments  in the manifest's order, those left out not among them
    left_out  names of segments that are missing or damaged; not empty only where that was allowed
    """

    path: Path
    manifest: Manifest
    vocabulary: Vocabulary
    segments: tuple[OpenSegment, ...]
    left_out: tuple[str, ...] = ()

    @property
    def signs(self) -> list[int]:
        return [segment.entry.sign for segment in self.segments]

    def deleted(self) -> Iterator[tuple[int, int, int]]:
        """(place in `segments`, first, stop) of each run of deleted documents whose segment is open."""
        place = {segment.entry.name: number for number, segment in enumerate(self.segments)}
        for segment in self.segments:
            for run in segment.header.deletes:
                if run.segment in place:
                    yield place[run.segment], run.first, run.first + run.count


def open_generation(index: Path, *, degraded: bool = False) -> OpenIndex:
    """Map the newest generation of `index`.

    A segment that is missing or whose header is damaged is refused by its name with DamagedError or
    MissingError; with `degraded` it is left out, with the deletions that name it, and `left_out` says so.
    Damage inside a file shows when the native core first touches the block, or in `verify`.
    """
    manifest = read_manifest(index)
    while True:
        problems = dict[str, DamagedError | MissingError]()
        vocabulary = _vocabulary(index, manifest, problems)
        segments = list(_open_all(index, manifest, vocabulary, problems))
        newest = read_manifest(index) if problems else manifest
        if newest.generation == manifest.generation:
            break
        # A writer removed the segments of the generation that this began with.
        manifest = newest
    if vocabulary is None or (problems and not degraded):
        raise next(iter(problems.values()))
    whole = _with_what_they_delete(segments)
    left_out = [*problems, *(segment.entry.name for segment in segments if segment not in whole)]
    return OpenIndex(index, manifest, vocabulary, tuple(whole), tuple(left_out))


def open_segment(index: Path, entry: SegmentEntry, vocabulary: Vocabulary | None) -> OpenSegment:
    """DamagedError or MissingError where the segment is not the one that the manifest names."""
    folder = index / SEGMENTS / entry.name
    header = checked_header(folder, entry)
    sums = check_files(folder, header)
    with damage_told():
        native = _native.Segment(
            str(folder),
            symbol_bytes=header.symbol_bytes,
            num_symbols=header.num_symbols,
            num_tokens=header.num_tokens,
            num_documents=header.num_documents,
            vocab_size=header.vocabulary.vocab_size,
            position_bits=header.position_bits,
            num_bigrams=header.num_bigrams,
            files=header.files,
            checksums=sums,
        )
    return OpenSegment(
        entry, folder, header, Store(folder, vocabulary=vocabulary, facts=header.facts), native
    )


def checked_header(folder: Path, entry: SegmentEntry) -> SegmentHeader:
    """The header of the segment at `folder`, which is the one `entry` names."""
    try:
        header = read_header(folder)
        if sha256_of(folder / HEADER) != entry.sha256:
            raise DamagedError(f"{folder / HEADER}, byte 0: it is not the header that the manifest names.")
    except FileNotFoundError as error:
        raise MissingError(f"The segment {entry.name} is gone ({error.filename} is missing).") from None
    return header


def _open_all(
    index: Path,
    manifest: Manifest,
    vocabulary: Vocabulary | None,
    problems: dict[str, DamagedError | MissingError],
) -> Iterator[OpenSegment]:
    for entry in manifest.segments:
        try:
            yield open_segment(index, entry, vocabulary)
        except (DamagedError, MissingError) as error:
            problems[entry.name] = error
        except FileNotFoundError as error:
            problems[entry.name] = MissingError(f"The segment {entry.name} lacks {error.filename}.")


def _with_what_they_delete(segments: list[OpenSegment]) -> list[OpenSegment]:
    """Without a segment that it deletes from, a negative one would make counts too small, even negative."""
    names = {segment.entry.name for segment in segments}
    return [segment for segment in segments if all(run.segment in names for run in segment.header.deletes)]


def _vocabulary(
    index: Path, manifest: Manifest, problems: dict[str, DamagedError | MissingError]
) -> Vocabulary | None:
    """None, with the problem told, where it cannot be read: nothing can be answered without it."""
    name = vocabulary_name(manifest.vocabulary.fingerprint)
    try:
        return load_vocabulary(index / VOCABULARIES / name)
    except (DamagedError, MissingError) as error:
        problems[f"{VOCABULARIES}/{name}"] = error
        return None
