"""Tiny T5s made by transformers with random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.files import read_json, write_json

TINY = {
    "vocab_size": 97,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "decoder_start_token_id": 0,
}

# Name -> (class of transformers without its ending, what differs from TINY, whether the head is its own).
FAMILIES: dict[str, tuple[str, Mapping[str, Any], bool]] = {
    "t5": ("T5", {"feed_forward_proj": "relu"}, False),
    "flan-t5": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, True),
    "mt5": ("MT5", {"num_heads": 2, "d_kv": 16}, True),
    "t5 silu": ("T5", {"feed_forward_proj": "gated-silu", "relative_attention_num_buckets": 32}, False),
}


def reference_t5(name: str, spread: float = 0.2) -> Any:
    """In float32, its weights far from their starting values."""
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    class_name, changes, has_head = FAMILIES[name]
    config = getattr(transformers, f"{class_name}Config")(**TINY | dict(changes))
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    model = getattr(transformers, f"{class_name}ForConditionalGeneration")(config).float().eval()
    if has_head:
        model.lm_head.weight = torch.nn.Parameter(torch.randn(97, 32))
    for parameter in model.parameters():
        parameter.data = spread * torch.randn(parameter.shape) + (parameter.ndim == 1)
    return model


def saved_t5(name: str, folder: Path) -> Any:
    """The model, written to `folder` as published ones are."""
    from safetensors.torch import save_file

    model = reference_t5(name)
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    save_file({key: value.clone() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    return model


def change_config(folder: Path, **changes: Any) -> None:
    table = read_json(folder / "config.json") | changes
    write_json(folder / "config.json", {key: value for key, value in table.items() if value is not None})
