"""Every byte and every order of an index looked at: what `potstill index verify` reports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from potstill.corpus.checksums import verify_file
from potstill.corpus.manifest import DOCUMENTS, TOKENS
from potstill.corpus.vocabulary import load_vocabulary
from potstill.errors import DamagedError, MissingError, PotstillError
from potstill.index.commit import vocabulary_name
from potstill.index.manifest import NAME, SEGMENTS, VOCABULARIES, Manifest, SegmentEntry, read_manifest
from potstill.index.native_work import run_native
from potstill.index.open import OpenSegment, checked_header, open_segment
from potstill.index.segment_files import HEADER, check_files
from potstill.index.stream_checks import check_documents, check_equal
from potstill.progress import Progress, Silent


@dataclass(frozen=True)
class Finding:
    """A file that was checked: its bytes, or that it fits the others; `problem` is None where all is well."""

    path: Path
    num_bytes: int
    problem: str | None = None
    check: str = "bytes"


def verify_index(index: Path, progress: Progress | None = None) -> list[Finding]:
    """Check the manifest, the vocabulary and each segment: checksums, order, tables, documents, deletions.

    MissingError or DamagedError where there is no manifest to begin with; all other damage is a finding.
    """
    progress, manifest = progress or Silent(), read_manifest(index)
    findings = [Finding(index / NAME, (index / NAME).stat().st_size)]
    findings.append(_guarded(_vocabulary_folder(index, manifest), lambda: _check_vocabulary(index, manifest)))
    for entry in manifest.segments:
        findings += _verify_segment(index, manifest, entry, progress)
    return findings


def _verify_segment(
    index: Path, manifest: Manifest, entry: SegmentEntry, progress: Progress
) -> Iterator[Finding]:
    folder = index / SEGMENTS / entry.name
    head = _guarded(folder / HEADER, lambda: _check_entry(folder, manifest, entry))
    yield head
    if head.problem:
        return
    header = checked_header(folder, entry)
    try:
        sums = check_files(folder, header)
    except (DamagedError, MissingError) as error:
        yield Finding(folder, 0, str(error))
        return
    files = [_guarded(folder / name, partial(verify_file, folder / name, sums[name])) for name in sums]
    yield from files
    if any(finding.problem for finding in files):
        return
    try:
        opened = open_segment(index, entry, None)
    except DamagedError as error:
        yield Finding(folder, 0, str(error))
        return
    yield _guarded(folder / "suffixes.bin", lambda: _check_order(opened, progress), "order and tables")
    yield _guarded(folder / DOCUMENTS, lambda: check_documents(opened.store), "documents")
    if entry.sign < 0:
        yield _guarded(folder / TOKENS, lambda: _check_deleted(index, manifest, opened), "deleted documents")


def _guarded(path: Path, check: Callable[[], object], name: str = "bytes") -> Finding:
    num_bytes, problem = path.stat().st_size if path.is_file() else 0, None
    try:
        check()
    except PotstillError as error:
        problem = str(error)
    except FileNotFoundError as error:
        problem = f"{error.filename} is missing."
    return Finding(path, num_bytes, problem, name)


def _vocabulary_folder(index: Path, manifest: Manifest) -> Path:
    return index / VOCABULARIES / vocabulary_name(manifest.vocabulary.fingerprint)


def _check_vocabulary(index: Path, manifest: Manifest) -> None:
    folder = _vocabulary_folder(index, manifest)
    if load_vocabulary(folder).facts != manifest.vocabulary:
        raise DamagedError(f"{folder} is another vocabulary than the one the manifest names.")


def _check_entry(folder: Path, manifest: Manifest, entry: SegmentEntry) -> None:
    header = checked_header(folder, entry)
    if (header.num_documents, header.num_tokens) != (entry.num_documents, entry.num_tokens):
        raise DamagedError(f"{folder / HEADER}: its counts are not those of the manifest.")
    if header.vocabulary != manifest.vocabulary:
        raise DamagedError(f"{folder / HEADER}: it has another vocabulary than the index.")
    if bool(header.deletes) != (entry.sign < 0):
        raise DamagedError(f"{folder / HEADER}: whether it holds deleted documents contradicts the manifest.")


def _check_order(opened: OpenSegment, progress: Progress) -> None:
    total = sum(opened.header.files.values())
    run_native(opened.native.verify, progress, f"verify {opened.entry.name}", total, "bytes")


def _check_deleted(index: Path, manifest: Manifest, opened: OpenSegment) -> None:
    """Whether a negative segment holds the very tokens of the documents that it deletes."""
    entries, at = {entry.name: entry for entry in manifest.positive}, 0
    for run in opened.header.deletes:
        if run.segment not in entries:
            raise DamagedError(
                f"{opened.folder / HEADER}: it deletes from {run.segment}, which is not there."
            )
        store = open_segment(index, entries[run.segment], None).store
        if run.first + run.count > store.num_documents:
            raise DamagedError(f"{opened.folder / HEADER}: it deletes documents that are not there.")
        first, stop = (
            int(store.documents(number, number + 1)[0]["first_symbol"])
            for number in (run.first, run.first + run.count)
        )
        check_equal(store, first, opened.store, at, stop - first)
        at += stop - first
