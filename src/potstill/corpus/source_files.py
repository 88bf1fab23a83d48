"""Which files a store is made of, and which of them are text: by name, and by a look at their first bytes."""

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
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_COMPRESSED: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}
_NEVER_TEXT = """
    .7z .a .avi .bin .bmp .bz2 .class .db .dll .dylib .doc .docx .egg .eot .exe .flac .gguf .gif .h5
    .ico .jar .jpeg .jpg .lib .mkv .mo .mov .mp3 .mp4 .npy .npz .o .obj .odt .ogg .onnx .otf .pdf
    .pickle .pkl .png .pptx .pt .pth .pyc .pyd .pyo .rar .safetensors .so .sqlite .sqlite3 .tar .tgz
    .tif .tiff .ttf .wasm .wav .webm .webp .whl .woff .woff2 .xls .xlsx .xz .zip
"""


class SourceFile(NamedTuple):
    """`size` in bytes as it lies on the disk; `is_named` where the user named the file itself."""

    path: Path
    size: int
    is_named: bool


class PassedOver(NamedTuple):
    path: Path
    reason: str


class FoundFiles(NamedTuple):
    """`files` in the order in which they are read, each once."""

    files: list[SourceFile]
    passed_over: list[PassedOver]


def find_source_files(paths: Sequence[Path]) -> FoundFiles:
    """The files that `paths` name: files, folders searched to any depth, patterns with `*`, `?`, `[`, `**`.

    Names that begin with a dot, what is no ordinary file and the folders of corpora and indexes are passed
    over. MissingError if a path names nothing.
    """
    found = FoundFiles([], [])
    seen: set[str] = set()
    for path in paths:
        for start in expand(path):
            is_named = not start.is_dir()
            for file in [start] if is_named else _walk(start):
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
        found.passed_over.append(PassedOver(path, "no ordinary file"))
    elif not is_named and is_never_text(path):
        found.passed_over.append(PassedOver(path, "no text, by its name"))
    else:
        found.files.append(SourceFile(Path(absolute), status.st_size, is_named))


def _walk(folder: Path) -> Iterator[Path]:
    top = os.path.realpath(folder)
    for where, folders, names in os.walk(top):
        if _is_ours(folders, names):
            folders.clear()
            continue
        # Changing the list in place tells os.walk where to go, and in which order.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in sorted(names) if not name.startswith("."))


def _is_ours(folders: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a folder is a corpus or an index, whose files hold texts a second time."""
    is_index = "manifest.json" in names and "segments" in folders
    is_in_shards = "shards.json" in names and "shards" in folders
    return {"corpus.json", "checksums.bin"} <= set(names) or is_index or is_in_shards
