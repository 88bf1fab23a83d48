"""What was fetched to this machine before, so that it can be used again without a hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from potstill.errors import DamagedError
from potstill.files import read_json, write_json
from potstill.hub.listing import HubModel
from potstill.hub.waiting_lock import waiting_lock


class Record(NamedTuple):
    commit: str
    names: list[str]


def record_path(records: Path, model: HubModel, prefix: str = "") -> Path:
    name = "@".join([prefix + model.repo_id, model.revision, model.file or ""])
    return records / f"{quote(name, safe='@')}.json"


def write_record(path: Path, commit: str, names: Sequence[str]) -> None:
    with waiting_lock(path.parent):
        write_json(path, {"commit": commit, "files": list(names)})


def read_record(path: Path) -> Record | None:
    """None where nothing was fetched under that name; DamagedError where the record is not one."""
    if not path.is_file():
        return None
    found = read_json(path)
    names = found.get("files") if isinstance(found, dict) else None
    if not isinstance(names, list) or not isinstance(found.get("commit"), str):
        raise DamagedError(f"{path} is no record of a fetched model. Remove it and fetch the model again.")
    return Record(found["commit"], [str(name) for name in names])
