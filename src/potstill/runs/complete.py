"""`complete.json`: which files a finished stage left, with their sizes and hashes.

It holds no times, so equal outputs have equal `complete.json` files.
"""

from pathlib import Path
from typing import Any

from potstill.errors import DamagedError
from potstill.files import read_json, sha256_of, write_json

NAME = "complete.json"
_FORMAT = 1


def is_complete(folder: Path) -> bool:
    return (folder / NAME).exists()


def mark_complete(folder: Path, stage: str, fingerprint: str) -> None:
    """Hash what is in `folder` and say, in one rename, that the stage is done."""
    for leftover in sorted(folder.rglob(".tmp-*")):
        if leftover.is_file():
            leftover.unlink()
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(folder))
    }
    write_json(folder / NAME, {"format": _FORMAT, "stage": stage, "fingerprint": fingerprint, "files": files})


def unmark_complete(folder: Path) -> None:
    (folder / NAME).unlink(missing_ok=True)


def check_complete(folder: Path, stage: str) -> None:
    """Raise a DamagedError that names the first file that is not as it was when the stage ended.

    Files that were added since are the user's own and do not matter.
    """
    files = _read(folder, stage)
    for name, was in files.items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(f"{path} is gone. {_advice(folder, stage)}")
        size = path.stat().st_size
        if size != was["bytes"]:
            raise DamagedError(
                f"{path} has {size:,} bytes and had {was['bytes']:,}. {_advice(folder, stage)}"
            )
        if sha256_of(path) != was["sha256"]:
            raise DamagedError(f"{path} was changed after the stage ended. {_advice(folder, stage)}")


def _read(folder: Path, stage: str) -> dict[str, Any]:
    path = folder / NAME
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        raise DamagedError(f"{path} does not list the stage's files. {_advice(folder, stage)}")
    if content.get("format") != _FORMAT:
        raise DamagedError(f"{path} has format {content.get('format')}; this potstill reads {_FORMAT}.")
    files: dict[str, Any] = content["files"]
    for name, was in files.items():
        is_whole = isinstance(was, dict) and {"bytes", "sha256"} <= was.keys()
        if not is_whole or Path(name).is_absolute() or ".." in Path(name).parts:
            raise DamagedError(f"{path} has a wrong entry {name!r}. {_advice(folder, stage)}")
    return files


def _advice(folder: Path, stage: str) -> str:
    run_folder = folder.parent.parent
    return f"Run `potstill run resume {run_folder} --redo {stage}` to make it again."


def _is_hidden(path: Path) -> bool:
    return path == Path(NAME) or any(part.startswith(".") for part in path.parts)
