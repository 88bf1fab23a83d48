"""Tiny encoders made by transformers with random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "id2label": {0: "contradiction", 1: "ENTAILMENT", 2: "neutral"},
    "label2id": {"contradiction": 0, "ENTAILMENT": 1, "neutral": 2},
}
# Name -> (class of transformers without its ending, what differs from TINY).
FAMILIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "bert": ("Bert", {}),
    "bert tanh": ("Bert", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    "roberta": ("Roberta", {"pad_token_id": 1, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", {"pad_token_id": 3, "type_vocab_size": 1}),
}


def reference_encoder(name: str, ending: str) -> Any:
    """In float32, its weights far from their starting values; `ending` as `Model`."""
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    class_name, changes = FAMILIES[name]
    config = getattr(transformers, f"{class_name}Config")(**TINY | dict(changes))
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    model = getattr(transformers, f"{class_name}{ending}")(config).float().eval()
    for parameter in model.parameters():
        parameter.data += (0.2 if parameter.ndim > 1 else 0.3) * torch.randn(parameter.shape)
    return model


def saved_encoder(name: str, ending: str, folder: Path) -> Any:
    model = reference_encoder(name, ending)
    model.save_pretrained(folder)
    return model
