"""A T5 from a folder in Hugging Face layout."""

from pathlib import Path

import torch

from potstill.models.registry import read_table
from potstill.models.safetensors_file import SafetensorsFolder
from potstill.models.t5 import T5
from potstill.models.t5_config import T5Config, t5_config_from_json
from potstill.models.weights import empty, fill

_EMBEDDING, _HEAD = "shared.weight", "lm_head.weight"
# The embedding written once more for each part that uses it; then a table of old checkpoints, never read.
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_IGNORED = {*_COPIES, _HEAD, "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}


def load_t5(folder: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> T5:
    """Matrices get `dtype`, norms and the table of distances stay in float32, and in float16 so do the
    feed-forward blocks' second matrices. DamagedError for a config or tensors that do not fit."""
    config = read_t5_config(folder)
    source = SafetensorsFolder(folder)
    embedding = _embedding_name(source)

    def stays_float32(name: str) -> bool:
        # The inner states of published feed-forward blocks go beyond what float16 can hold.
        is_second = name.endswith(".wo.weight") and dtype == torch.float16
        return is_second or name.endswith("relative_attention_bias.weight")

    return fill(
        empty(lambda: T5(config)),
        source,
        str(folder),
        dtype=dtype,
        device=device,
        stored_name=lambda name: embedding if name == _EMBEDDING else name,
        is_ignored=lambda name: name in _IGNORED,
        stays_float32=stays_float32,
    )


def t5_shapes(folder: Path, *, dtype: torch.dtype) -> T5:
    """The same without its weights: parameters of its shapes and of `dtype` on torch's meta device."""
    config = read_t5_config(folder)
    return empty(lambda: T5(config)).to(dtype)


def read_t5_config(folder: Path) -> T5Config:
    """config.json, and what only the weights tell: whether the head is the embedding."""
    table, source = read_table(folder), SafetensorsFolder(folder)
    has_head = _has_head(source, _embedding_name(source))
    return t5_config_from_json(table, str(folder / "config.json"), has_head=has_head)


def _embedding_name(source: SafetensorsFolder) -> str:
    """The name the embedding is stored under: writers that keep one of several shared tensors choose any."""
    names = set(source.names())
    return next((name for name in (_EMBEDDING, *_COPIES) if name in names), _EMBEDDING)


def _has_head(source: SafetensorsFolder, embedding: str) -> bool:
    """Whether the head differs from the embedding; what the config says of it is often wrong."""
    names = set(source.names())
    return _HEAD in names and not (embedding in names and source.are_equal(_HEAD, embedding))
