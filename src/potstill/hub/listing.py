"""What a hub says it has of a model, checked before anything of it is fetched.

A listing may come from anyone: its names become paths and its sizes become room on a disk.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from potstill.errors import DamagedError, DiskFull, ModelMissing
from potstill.hub.weight_files import files_to_fetch, holds_weights, only_pickles, pickle_refusal

MAX_FILES = 20_000
_MAX_BYTES = 1 << 44
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")


class HubModel(NamedTuple):
    """`file` is one GGUF file of the repository, or None for its safetensors or its only GGUF file."""

    repo_id: str
    revision: str
    file: str | None


class FetchedModel(NamedTuple):
    """`path` is a folder, or the .gguf file; `commit` is what the revision meant when it was fetched."""

    path: Path
    commit: str


class RemoteFile(NamedTuple):
    """`name` is a path in the repository; `sha256` is None where the hub gives none."""

    name: str
    num_bytes: int
    sha256: str | None


class Listing(NamedTuple):
    commit: str
    files: list[RemoteFile]


class HubUnreachable(Exception):
    """The hub did not answer, or broke off: another one, or a later try, may do."""


class HubBrokeOff(HubUnreachable):
    """In the middle of the files: what came of them is kept."""


class HubLacks(Exception):
    """The hub answered that it has no such repository or revision, or none for this user.

    The text is the fact, `advice` the sentence after it.
    """

    def __init__(self, fact: str, advice: str) -> None:
        super().__init__(fact)
        self.advice = advice


def checked_file(repo_id: str, name: object, num_bytes: object, sha256: object) -> RemoteFile:
    """A file of a listing; DamagedError for a name that leads out of a folder, or for an absurd size."""
    if not isinstance(name, str) or not _stays_inside(name):
        raise DamagedError(
            f"The hub lists {name!r} in {repo_id}, which is no name of a file in a folder. Nothing was "
            f"fetched; take the model from another place."
        )
    if isinstance(num_bytes, bool) or not isinstance(num_bytes, int) or not 0 <= num_bytes <= _MAX_BYTES:
        raise DamagedError(
            f"The hub says that {name!r} in {repo_id} has {num_bytes!r} bytes. Nothing was fetched; take the "
            f"model from another place."
        )
    known = isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())
    return RemoteFile(name, num_bytes, known.group() if known else None)


def check_count(repo_id: str, num_files: int) -> None:
    if num_files > MAX_FILES:
        raise DamagedError(
            f"The hub lists {num_files:,} files in {repo_id}; at most {MAX_FILES:,} are read. Nothing was "
            f"fetched; take the model from another place."
        )


def wanted_files(model: HubModel, files: Sequence[RemoteFile], prefix: str = "") -> list[RemoteFile]:
    """The files that make up the model; ModelMissing where there are none, or several to choose from.

    `prefix` stands before a hub id as a user writes it, such as `ms://`.
    """
    shown, names = prefix + model.repo_id, [file.name for file in files]
    if only_pickles(names):
        raise ModelMissing(pickle_refusal(shown, names))
    wanted = files_to_fetch(names)
    gguf = [name for name in wanted if name.endswith(".gguf")]
    if model.file is not None:
        if model.file not in names:
            raise ModelMissing(f"{shown} has no {model.file}; it has {', '.join(gguf) or 'no GGUF file'}.")
        wanted = [model.file]
    elif len(gguf) > 1:
        raise ModelMissing(
            f"{shown} has {len(gguf)} GGUF files. Name one of them: "
            f"{', '.join(f'{shown}/{name}' for name in gguf[:12])}."
        )
    if not holds_weights(wanted):
        raise ModelMissing(f"{shown} has neither safetensors nor GGUF files. Name another model.")
    return [file for file in files if file.name in wanted]


def announce(shown: str, commit: str, num_bytes: int, endpoint: str) -> None:
    print(f"{shown} at {commit[:12]}: {num_bytes / 1e6:,.0f} MB to fetch from {endpoint}", file=sys.stderr)


def check_room(shown: str, num_bytes: int, place: Path, variable: str) -> None:
    """DiskFull where `place` is or will be has not so much free; `variable` moves it."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise DiskFull(
            f"{shown} needs {num_bytes / 1e9:.1f} GB and {existing} has {free / 1e9:.1f} GB free. "
            f"Free some space, or set {variable} to a larger disk."
        )


def as_fetched(folder: Path, commit: str, names: Sequence[str]) -> FetchedModel:
    gguf = [name for name in names if name.endswith(".gguf")]
    return FetchedModel(folder / gguf[0] if gguf else folder, commit)


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not _UNSAFE.search(name) and all(part not in ("", ".", "..") for part in parts)
