"""The state of a training run on disk: safetensors and JSON, whole or not there.

`checkpoint-00000100/` holds `state.safetensors` and `checkpoint.json` with the sha256 of the former. A folder
appears by one rename when everything in it is on the disk; what does not match its own sha256 is passed over.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from potstill.errors import DamagedError, MissingError
from potstill.files import read_json, sha256_of, write_json, writing_folder
from potstill.training.settings import DtypeName

_SCHEMA = 1
_STATE_FILE, _TABLE_FILE = "state.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class Best:
    """The step with the lowest validation loss so far, in nats a token."""

    step: int
    loss: float


@dataclass(frozen=True)
class Standing:
    """Where a run stands after `step` steps, in plain values.

    log_records  records of the loss log that belong to these steps
    seconds      spent on them, by every process together
    best         of the validations so far
    dtype        of the computation, bf16 or fp32
    identity     digests of what the run depends on: settings, examples, first weights
    """

    step: int
    log_records: int
    seconds: float
    best: Best | None
    dtype: DtypeName
    identity: Mapping[str, str]


class Checkpoint(NamedTuple):
    standing: Standing
    tensors: dict[str, Tensor]


def save_checkpoint(folder: Path, kind: str, standing: Standing, tensors: Mapping[str, Tensor]) -> None:
    """Write `folder`/`kind`-<step>; it is durable on return."""
    from safetensors.torch import save_file

    with writing_folder(_path(folder, kind, standing.step)) as partial:
        state = partial / _STATE_FILE
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, state)
        table = {"schema": _SCHEMA, "sha256": sha256_of(state), "standing": asdict(standing)}
        write_json(partial / _TABLE_FILE, table)


def newest_checkpoint(folder: Path, kind: str) -> Checkpoint | None:
    """The valid checkpoint of `kind` with the most steps, on the CPU; None where there is none."""
    for step in sorted(_steps(folder, kind), reverse=True):
        if checkpoint := load_checkpoint(folder, kind, step):
            return checkpoint
    return None


def load_checkpoint(folder: Path, kind: str, step: int) -> Checkpoint | None:
    """None where it is missing, cut short or altered. DamagedError where a newer version wrote it."""
    from safetensors.torch import load_file

    path = _path(folder, kind, step)
    try:
        table = read_json(path / _TABLE_FILE)
        if not (path / _STATE_FILE).is_file() or not isinstance(table, dict):
            return None
    except (MissingError, DamagedError):  # from read_json: not there, or cut short
        return None
    if isinstance(table.get("schema"), int) and table["schema"] > _SCHEMA:
        raise DamagedError(f"{path} was written by a newer version of potstill; continue with that one.")
    if table.get("sha256") != sha256_of(path / _STATE_FILE):
        return None
    standing = _standing(table.get("standing"))
    if standing is None or standing.step != step:
        return None
    return Checkpoint(standing, load_file(path / _STATE_FILE))


def remove_checkpoints(folder: Path, kind: str, *, but: int | None) -> None:
    """Remove every checkpoint of `kind` except that of step `but`."""
    for step in _steps(folder, kind):
        if step != but:
            shutil.rmtree(_path(folder, kind, step))


def remove_leftovers(folder: Path) -> None:
    """Remove what writes that were cut short have left; only under the folder's lock."""
    for leftover in folder.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink()


def _path(folder: Path, kind: str, step: int) -> Path:
    return folder / f"{kind}-{step:08d}"


def _steps(folder: Path, kind: str) -> list[int]:
    matches = (re.fullmatch(rf"{kind}-(\d{{8,}})", path.name) for path in folder.glob(f"{kind}-*"))
    return [int(match[1]) for match in matches if match]


def _standing(table: Any) -> Standing | None:
    try:
        best, dtype = table["best"], table["dtype"]
        if dtype not in ("bf16", "fp32"):
            return None
        return Standing(
            step=int(table["step"]),
            log_records=int(table["log_records"]),
            seconds=float(table["seconds"]),
            best=best and Best(int(best["step"]), float(best["loss"])),
            dtype=dtype,
            identity=dict(table["identity"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
