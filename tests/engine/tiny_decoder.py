"""A Gemma of a few thousand random weights."""

from typing import Any

import torch

from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder


def tiny_decoder(**changes: Any) -> Decoder:
    settings: dict[str, Any] = {
        "model_type": "gemma3_text",
        "vocab_size": 80,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 1,
        "head_dim": 8,
        "max_positions": 128,
        "norm_eps": 1e-6,
        "query_scale": 8**-0.5,
        "activation": "gelu_pytorch_tanh",
        "rope": RopeSettings(10_000.0),
        "rope_local": RopeSettings(1_000.0),
        "windows": (6, None),
        "tied": True,
    }
    torch.manual_seed(3)
    decoder = Decoder(DecoderConfig(**{**settings, **changes}))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.4)
    return decoder.eval()
