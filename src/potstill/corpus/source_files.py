"""Which files a store is made of, and which of them are text: by name, and by a look at their first bytes."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from potstill.corpus.files import expand
from potstill.errors import MissingError
from potstill.records.formats import Compression, Format, format_of

HEAD_BYTES = 8192
_MOST_CONTROL_SHARE = 0.1
_NO_FILE = "no ordinary file"
# A file may become so between the search and the reading; anything else is the machine's trouble.
_UNREADABLE = (
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_COMPRESSED: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}
_NEVER_TEXT = """
    .7z .a .avi .bin .bmp .bz2 .class .db .dll .dylib .doc .docx .egg .eot .exe .flac .gguf .gif .h5
    .ico .jar .jpeg .jpg .lib .mkv .mo .mov .mp3 .mp4 .npy .npz .o .obj .odt .ogg .onnx .otf .pdf
    .pickle .pkl .png .pptx .pt .pth .pyc .pyd .pyo .rar .safetensors .so .sqlite .sqlite3 .tar .tgz
    .tif .tiff .ttf .wasm .wav .webm .webp .whl .woff .woff2 .xls .xlsx .xz .zip
"""


class SourceFile(NamedTuple):
    """As it lies on the disk: `size` in bytes, when its content and its inode changed, in nanoseconds.

    `is_named` where the user named the file itself.
    """

    path: Path
    size: int
    is_named: bool
    modified_ns: int
    changed_ns: int


class PassedOver(NamedTuple):
    path: Path
    reason: str


class FoundFiles(NamedTuple):
    """`files` in the order in which they are read, each once."""

    files: list[SourceFile]
    passed_over: list[PassedOver]


def find_source_files(paths: Sequence[Path]) -> FoundFiles:
    """The files that `paths` name: files, folders searched to any depth, patterns with `*`, `?`, `[`, `**`.

    Names that begin with a dot and the folders of corpora and indexes are left out; what is no ordinary file,
    what may not be read and links to folders are passed over. MissingError if a path names nothing.
    """
    found = FoundFiles([], [])
    seen: set[str] = set()
    for path in paths:
        for start in expand(path):
            is_named = not start.is_dir()
            for file in [start] if is_named else _walk(start, found.passed_over):
                _add(file, is_named, found, seen)
    if not found.files:
        raise MissingError(f"No file in {', '.join(map(str, paths)) or 'an empty list of sources'}.")
    return found


def source_format(path: Path) -> Format:
    """How the file is read: by its suffixes, as text where they say nothing; may be packed with gz or zst."""
    known = format_of(path)
    return known or Format("text", _COMPRESSED.get(path.suffix.lower(), "none"))


def is_never_text(path: Path) -> bool:
    """Whether the name alone says that the file is no text."""
    name = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return name.suffix.lower() in _never_text()


@cache
def _never_text() -> frozenset[str]:
    return frozenset(_NEVER_TEXT.split())


def looks_like_text(head: bytes) -> bool:
    """Whether a file that begins so is text of some kind: no NUL, few control characters; empty is text."""
    num_control = len(head) - len(head.translate(None, _CONTROL))
    return b"\0" not in head and num_control <= _MOST_CONTROL_SHARE * len(head)


def _add(path: Path, is_named: bool, found: FoundFiles, seen: set[str]) -> None:
    try:
        status = path.stat()
    except OSError as error:
        found.passed_over.append(PassedOver(path, error.strerror or "cannot be read"))
        return
    absolute = os.path.abspath(path)
    key = os.path.realpath(path) if path.is_symlink() or is_named else absolute
    if key in seen:
        return
    seen.add(key)
    if not stat.S_ISREG(status.st_mode):
        found.passed_over.append(PassedOver(path, _NO_FILE))
    elif not is_named and is_never_text(path):
        found.passed_over.append(PassedOver(path, "no text, by its name"))
    else:
        times = status.st_mtime_ns, status.st_ctime_ns
        found.files.append(SourceFile(Path(absolute), status.st_size, is_named, *times))


def opening_problem(path: Path) -> str | None:
    """Why a file that was found is not to be opened, if it is gone by now, may not be read or is a pipe."""
    try:
        # A pipe that nobody writes to would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return (error.strerror or "cannot be read") if error.errno in _UNREADABLE else None
    try:
        return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else _NO_FILE
    finally:
        os.close(descriptor)


def _walk(folder: Path, passed_over: list[PassedOver]) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        passed_over.append(PassedOver(Path(error.filename), error.strerror or "cannot be read"))

    top = os.path.realpath(folder)
    for where, folders, names in os.walk(top, onerror=refused):
        if _is_ours(folders, names):
            folders.clear()
            continue
        links = (Path(where, name) for name in sorted(folders) if not name.startswith("."))
        passed_over += (PassedOver(path, "a link to a folder") for path in links if path.is_symlink())
        # Changing the list in place tells os.walk where to go, and in which order.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in sorted(names) if not name.startswith("."))


def _is_ours(folders: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a folder is a corpus or an index, also an unfinished one; they hold texts a second time."""
    is_index = "manifest.json" in names and "segments" in folders
    is_in_shards = "shards.json" in names and "shards" in folders
    is_unfinished = ".building" in folders and ".lock" in names
    return {"corpus.json", "checksums.bin"} <= set(names) or is_index or is_in_shards or is_unfinished
