"""What a stage's output is addressed by: equal fingerprints mean equal bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.errors import MissingError
from potstill.files import sha256_of
from potstill.runs.stage import Stage

_SHOWN_DIGITS = 12


def fingerprints(stages: Sequence[Stage], seed: int) -> dict[str, str]:
    """The fingerprint (64 hexadecimal digits) of each stage, which must come after those it needs."""
    known: dict[str, str] = {}
    content: dict[Path, str] = {}
    for stage in stages:
        assert stage.name not in known, f"two stages are called {stage.name}"
        assert all(need in known for need in stage.needs), f"{stage.name} stands before what it needs"
        for path in stage.files:
            if path not in content:
                content[path] = content_hash(path)
        known[stage.name] = fingerprint(stage, seed, known, [content[path] for path in stage.files])
    return known


def fingerprint(stage: Stage, seed: int, of_needs: Mapping[str, str], of_files: Sequence[str]) -> str:
    return hash_of(
        {
            "name": stage.name,
            "version": stage.version,
            "settings": dict(stage.settings),
            "seed": seed,
            "needs": {need: of_needs[need] for need in stage.needs},
            "files": list(of_files),
        }
    )


def content_hash(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a folder's files; hidden files do not count."""
    if path.is_file():
        return sha256_of(path)
    if not path.is_dir():
        raise MissingError(f"{path} does not exist. Check the spelling.")
    names = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    visible = {name: file for name, file in names.items() if not any(p.startswith(".") for p in name.parts)}
    return hash_of({name.as_posix(): sha256_of(file) for name, file in visible.items()})


def hash_of(value: Any) -> str:
    """sha256 of the canonical JSON of plain values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stage_folder(run_folder: Path, name: str, stage_fingerprint: str) -> Path:
    return run_folder / "stages" / f"{name}-{stage_fingerprint[:_SHOWN_DIGITS]}"
