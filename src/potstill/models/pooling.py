"""How token states become one vector a text, as sentence-transformers writes it beside an encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from potstill.errors import DamagedError
from potstill.files import read_json
from potstill.models.fields import Fields

_MODULES = "modules.json"
_MODES = (
    "cls_token",
    "mean_tokens",
    "max_tokens",
    "mean_sqrt_len_tokens",
    "weightedmean_tokens",
    "lasttoken",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """mode           the mean of all tokens' states, special ones included, or the first token's
    is_normalised  whether vectors are brought to length 1
    max_tokens     what the vectors were trained on at most; None where nothing is said
    """

    mode: Literal["mean", "cls"] = "mean"
    is_normalised: bool = False
    max_tokens: int | None = None


def read_pooling(folder: Path) -> Pooling:
    """What modules.json and the files it names say; the mean where there is none.

    DamagedError for steps that are not done here.
    """
    if not (folder / _MODULES).is_file():
        return Pooling()
    steps = dict(_steps(folder))
    if unknown := sorted(steps.keys() - {"Transformer", "Pooling", "Normalize"}):
        raise DamagedError(f"{folder / _MODULES} has a step {unknown[0]}, which this version cannot do.")
    return Pooling(
        mode=_mode(folder, steps["Pooling"]) if "Pooling" in steps else "mean",
        is_normalised="Normalize" in steps,
        max_tokens=_max_tokens(folder),
    )


def _steps(folder: Path) -> list[tuple[str, str]]:
    """The name of each step with its folder."""
    table = read_json(folder / _MODULES)
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        raise DamagedError(f"{folder / _MODULES} holds no list of steps.")
    entries = [Fields(entry, str(folder / _MODULES)) for entry in table]
    return [(entry.text("type").rpartition(".")[2], entry.text("path", "")) for entry in entries]


def _mode(folder: Path, name: str) -> Literal["mean", "cls"]:
    if Path(name).name != name:
        raise DamagedError(f"{folder / _MODULES} names {name!r}, which is no folder beside it.")
    path = folder / name / "config.json"
    fields = _fields(path)
    chosen = [mode for mode in _MODES if fields.flag(f"pooling_mode_{mode}", False)]
    if fields.has("pooling_mode"):
        # The one name that newer files have in place of the flags.
        chosen = [fields.text("pooling_mode")]
    if chosen in (["mean_tokens"], ["mean"]):
        return "mean"
    if chosen in (["cls_token"], ["cls"]):
        return "cls"
    raise DamagedError(
        f"{path} asks for {', '.join(chosen) or 'nothing'}; this takes mean_tokens or cls_token."
    )


def _max_tokens(folder: Path) -> int | None:
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return None
    fields = _fields(path)
    fields.refuse("do_lower_case", False)
    most = fields.optional_integer("max_seq_length")
    if most is not None and most < 1:
        raise fields.error("max_seq_length", f"is {most}; it must be above 0")
    return most


def _fields(path: Path) -> Fields:
    table: Any = read_json(path) if path.is_file() else None
    if not isinstance(table, dict):
        raise DamagedError(f"{path} is missing or holds no table. Fetch the model again.")
    return Fields(table, str(path))
