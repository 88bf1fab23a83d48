"""Packed weights that are kept between starts: a folder of files, one for each model and kind of weights.

Packing is what takes long when a model is loaded for the CPU. Nothing is kept unless a folder is named, since
it needs as much of the disk as the models do. Whoever can write in that folder can change what models say.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from potstill import __version__
from potstill.devices import release_memory
from potstill.errors import DamagedError, DiskFull, LockedError, UsageError
from potstill.files import writing
from potstill.locks import locked
from potstill.models.kept_weights import FORMAT, KeptWeights, write_kept
from potstill.models.program_weights import Packing, Part, ProgramWeights, WeightKind
from potstill.models.safetensors_file import weight_files

VARIABLE = "POTSTILL_COMPILE_CACHE"
# Of all files in the folder; the ones not used for the longest time go first.
MAX_BYTES = 32 << 30

_SUFFIX = ".packed"
_HASHED_START_BYTES = 16 << 20
_NUM_SAMPLES, _SAMPLE_BYTES = 64, 4096

Runner = TypeVar("Runner")


def compile_cache_folder(asked: Path | None = None) -> Path | None:
    """`asked`, else what POTSTILL_COMPILE_CACHE names; None, or an empty variable: nothing is kept."""
    if asked is not None:
        return asked.expanduser()
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser() if named else None


def kept_or_packed(
    folder: Path | None,
    model: Path,
    kind: WeightKind,
    build: Callable[[ProgramWeights], Runner],
    *,
    max_bytes: int = MAX_BYTES,
) -> Runner:
    """What `build` makes of the weights kept in `folder`, or else of newly packed ones, which are then kept.

    A file that cannot be used, or a folder that cannot be written, costs a line on stderr and no more. What
    `build` raises over packed weights is raised here.
    """
    if folder is None:
        return _packed(build, Packing())
    key = weights_key(model, kind)
    path = folder / file_name(model, kind, key)
    kept = _built_from(path, key, build)
    if kept is not None:
        return kept
    packing = Packing()
    built = _packed(build, packing)
    # A model that was written again in the meantime is not the one that was packed.
    if weights_key(model, kind) == key:
        _keep(path, key, packing.parts, max_bytes)
    return built


def weights_key(model: Path, kind: WeightKind) -> str:
    """SHA-256 of all that packed weights follow from; of large files, of what changes when they do."""
    config = model / "config.json"
    files = [*([config] if config.is_file() else []), *weight_files(model)]
    parts: list[Any] = [FORMAT, __version__, sys.byteorder, kind, *map(_identity, files)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_name(model: Path, kind: WeightKind, key: str) -> str:
    """Says whose weights they are to a person who looks into the folder."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", model.resolve().name.removesuffix(".gguf"))[:64]
    return f"{name}.{kind}.{key[:16]}{_SUFFIX}"


def _identity(file: Path) -> list[Any]:
    """Name, size, time of the last change, and a hash of the start and of samples of the rest."""
    with open(file, "rb") as opened:
        status = os.fstat(opened.fileno())
        digest = hashlib.sha256(opened.read(_HASHED_START_BYTES))
        rest = max(0, status.st_size - _HASHED_START_BYTES)
        for sample in range(_NUM_SAMPLES if rest else 0):
            opened.seek(_HASHED_START_BYTES + (rest - 1) * sample // (_NUM_SAMPLES - 1) // 4096 * 4096)
            digest.update(opened.read(_SAMPLE_BYTES))
    return [file.name, status.st_size, status.st_mtime_ns, digest.hexdigest()]


def _packed(build: Callable[[ProgramWeights], Runner], packing: Packing) -> Runner:
    built = build(packing)
    # What weights passed through on their way is as much again as some models.
    release_memory(collects=False)
    return built


def _built_from(path: Path, key: str, build: Callable[[ProgramWeights], Runner]) -> Runner | None:
    """None where there is no file, or none that can be used."""
    try:
        if not path.is_file():
            return None
        weights = KeptWeights(path, key)
        built = build(weights)
        weights.check_all_taken()
    except (DamagedError, OSError) as error:
        _say(f"{str(error).rstrip('.')}. The model is packed anew.")
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return built


def _keep(path: Path, key: str, parts: list[Part], max_bytes: int) -> None:
    try:
        with locked(path.parent):
            _remove_leftovers(path.parent)
            with writing(path) as file:
                write_kept(file, key, parts)
            _remove_oldest(path, max_bytes)
    except LockedError:
        # Another process keeps what it has packed: this model's, or another's and this one's next time.
        pass
    except (DiskFull, UsageError, OSError) as error:
        _say(f"{path.parent} does not keep the packed weights, so the next start packs them again: {error}")


def _remove_leftovers(folder: Path) -> None:
    """Of processes that were killed while they wrote; only one writes at a time."""
    for leftover in folder.glob(f".tmp-*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _remove_oldest(newest: Path, max_bytes: int) -> None:
    """The least recently used files until all of them are within `max_bytes`; `newest` stays."""
    used = sorted(
        (path.stat().st_mtime_ns, path.stat().st_size, path) for path in newest.parent.glob(f"*{_SUFFIX}")
    )
    total = sum(num_bytes for _, num_bytes, _ in used)
    for _, num_bytes, path in used:
        if total <= max_bytes:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            total -= num_bytes


def _say(text: str) -> None:
    print(text, file=sys.stderr)
