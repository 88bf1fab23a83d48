"""An encoder from a folder in Hugging Face layout, bare or with the head that sorts texts."""

from pathlib import Path

import torch

from potstill.errors import UsageError
from potstill.models.classification import SequenceClassifier
from potstill.models.encoder import Encoder
from potstill.models.encoder_config import EncoderConfig, EncoderType, encoder_config_from_json
from potstill.models.fields import Fields
from potstill.models.registry import read_table
from potstill.models.safetensors_file import SafetensorsFolder
from potstill.models.weights import empty, fill

# What a file's names begin with where a head stands beside the encoder.
_PREFIXES: dict[EncoderType, str] = {"bert": "bert.", "roberta": "roberta.", "xlm-roberta": "roberta."}
# Heads of other tasks, and tables that follow from the config.
_HEADS = ("cls.", "lm_head.", "pooler.", "classifier.", "qa_outputs.")


def load_encoder(folder: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Encoder:
    """Matrices get `dtype`, norms stay in float32, heads are left out.

    DamagedError for a config or tensors that do not fit.
    """
    config, source = _open(folder)
    names = _Names(config, source)
    return fill(
        empty(lambda: Encoder(config)),
        source,
        str(folder),
        dtype=dtype,
        device=device,
        stored_name=names.of_body,
        is_ignored=names.is_beside_body,
    )


def load_classifier(
    folder: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> SequenceClassifier:
    """The encoder with its head; UsageError where the folder holds none that sorts texts."""
    config, source = _open(folder)
    names = _Names(config, source)
    head = {"bert": "classifier.weight"}.get(config.model_type, "classifier.out_proj.weight")
    if head not in set(source.names()):
        raise UsageError(f"{folder} holds no head that sorts texts: there is no tensor {head}.")
    _check_task(folder)
    return fill(
        empty(lambda: SequenceClassifier(config)),
        source,
        str(folder),
        dtype=dtype,
        device=device,
        stored_name=names.of_classifier,
        is_ignored=names.is_beside_body,
    )


def encoder_shapes(folder: Path, *, dtype: torch.dtype) -> Encoder:
    """The same without its weights: parameters of its shapes and of `dtype` on torch's meta device."""
    config = read_encoder_config(folder)
    return empty(lambda: Encoder(config)).to(dtype)


def read_encoder_config(folder: Path) -> EncoderConfig:
    return encoder_config_from_json(read_table(folder), str(folder / "config.json"))


def _check_task(folder: Path) -> None:
    """A head that sorts tokens has tensors of the same names."""
    fields = Fields(read_table(folder), str(folder / "config.json"))
    named = fields.texts("architectures") if fields.has("architectures") else ()
    if named and not any(name.endswith("ForSequenceClassification") for name in named):
        raise UsageError(f"{folder} holds no head that sorts texts: it is a {', '.join(named)}.")


def _open(folder: Path) -> tuple[EncoderConfig, SafetensorsFolder]:
    return read_encoder_config(folder), SafetensorsFolder(folder)


class _Names:
    """Our names of parameters to those of a file."""

    def __init__(self, config: EncoderConfig, source: SafetensorsFolder) -> None:
        stored = set(source.names())
        prefix = _PREFIXES[config.model_type]
        self._prefix = prefix if f"{prefix}embeddings.word_embeddings.weight" in stored else ""
        # The first BERT's norms, written by a library that called their numbers so.
        self._has_old_norms = f"{self._prefix}embeddings.LayerNorm.gamma" in stored
        self._is_bert = config.model_type == "bert"

    def of_body(self, name: str) -> str:
        if self._has_old_norms and "LayerNorm." in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        return self._prefix + name

    def of_classifier(self, name: str) -> str:
        part, _, rest = name.partition(".")
        if part == "body":
            return self.of_body(rest)
        if rest.startswith("pooler."):
            return f"{self._prefix}pooler.dense.{rest.removeprefix('pooler.')}"
        return rest if self._is_bert else f"classifier.{rest}"

    def is_beside_body(self, name: str) -> bool:
        return name.endswith("position_ids") or name.removeprefix(self._prefix).startswith(_HEADS)
