"""Which kind of model lies at a path, by the name its config or its GGUF metadata gives the family."""

from pathlib import Path
from typing import Literal

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json
from potstill.gguf_header import read_header
from potstill.models.encoder_config import ENCODER_TYPES
from potstill.models.family import MODEL_TYPES
from potstill.models.fields import Fields
from potstill.models.gguf_config import ARCHITECTURES
from potstill.models.t5_config import T5_MODEL_TYPES

Architecture = Literal["decoder", "encoder_decoder", "encoder"]

# By `model_type` in config.json, and by `general.architecture` in a GGUF file.
_BY_MODEL_TYPE: dict[str, Architecture] = {
    **dict.fromkeys(MODEL_TYPES, "decoder"),
    **dict.fromkeys(T5_MODEL_TYPES, "encoder_decoder"),
    **dict.fromkeys(ENCODER_TYPES, "encoder"),
}
_BY_GGUF_NAME: dict[str, Architecture] = dict.fromkeys(ARCHITECTURES, "decoder")


def architecture_of(path: Path) -> Architecture:
    """Of a folder in Hugging Face layout or a GGUF file; DamagedError for a family that is not run here."""
    if path.is_dir():
        fields = Fields(read_table(path), str(path / "config.json"))
        return _look_up(_BY_MODEL_TYPE, fields, "model_type")
    if path.is_file():
        return _look_up(
            _BY_GGUF_NAME,
            Fields(read_header(path, vocabulary=False).metadata, str(path)),
            "general.architecture",
        )
    raise ModelMissing(f"There is no model at {path}.")


def read_table(folder: Path) -> dict[str, object]:
    """config.json of a folder in Hugging Face layout."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelMissing(f"{folder} has no config.json, so it is no model in Hugging Face layout.")
    table = read_json(path)
    if not isinstance(table, dict):
        raise DamagedError(f"{path} holds no table.")
    return table


def _look_up(kinds: dict[str, Architecture], fields: Fields, name: str) -> Architecture:
    value = fields.text(name)
    if value not in kinds:
        raise fields.error(name, f"is {value!r}; this version runs {', '.join(kinds)}")
    return kinds[value]
