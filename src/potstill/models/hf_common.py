"""What every family's config.json spells alike."""

from typing import Any

from potstill.layers.mlp import Activation
from potstill.models.config import DecoderConfig
from potstill.models.fields import Fields

# Far above any published decoder.
MAX_LAYERS = 1024
MAX_HEADS = 1024
MAX_SIZE = 1 << 16

ACTIVATION_NAMES: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
    "gelu_tanh": "gelu_pytorch_tanh",
    "gelu_new": "gelu_pytorch_tanh",
    "gelu_fast": "gelu_pytorch_tanh",
    "relu": "relu",
}


def activation(fields: Fields, name: str, default: str) -> Activation:
    value = fields.text(name, default)
    if value not in ACTIVATION_NAMES:
        raise fields.error(name, f"is {value!r}; this version runs {', '.join(ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[value]


def special_tokens(fields: Fields) -> dict[str, Any]:
    return {
        "bos_token_id": fields.optional_integer("bos_token_id"),
        "eos_token_ids": fields.integers("eos_token_id"),
        "pad_token_id": fields.optional_integer("pad_token_id"),
    }


def special_tokens_to_json(config: DecoderConfig) -> dict[str, Any]:
    eos = config.eos_token_ids
    return {
        "bos_token_id": config.bos_token_id,
        "eos_token_id": eos[0] if len(eos) == 1 else list(eos) or None,
        "pad_token_id": config.pad_token_id,
    }
