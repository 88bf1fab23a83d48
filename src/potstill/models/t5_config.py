"""What a T5 is made of: config.json of T5, T5 v1.1, Flan-T5 and mT5, checked before anything is allocated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from potstill.errors import DamagedError
from potstill.layers.mlp import Activation
from potstill.models.fields import Fields, errors_at
from potstill.models.hf_common import ACTIVATION_NAMES

T5Type = Literal["t5", "mt5"]
T5_MODEL_TYPES: tuple[T5Type, ...] = get_args(T5Type)

# Distances, not positions, are what the model knows, so no length is beyond it; this bounds the bias's table.
MAX_POSITIONS = 1 << 15

# Far above any published T5; below what would make the checks themselves expensive.
_RANGES = {
    "vocab_size": (1, 1 << 22),
    "d_model": (1, 1 << 16),
    "d_kv": (1, 2048),
    "d_ff": (1, 1 << 20),
    "num_layers": (1, 1024),
    "num_decoder_layers": (1, 1024),
    "num_heads": (1, 1024),
    "relative_attention_num_buckets": (4, 1 << 12),
    # No tensor has a size of this: it alone says how many distances a packed model keeps a number for.
    "relative_attention_max_distance": (2, 1 << 12),
}


@dataclass(frozen=True, kw_only=True)
class T5Config:
    """What its config.json says of a T5, by the names there; DamagedError names a field out of range.

    d_kv                     numbers of a head
    num_layers               of the encoder
    activation, is_gated     of the feed-forward blocks
    layer_norm_epsilon       added under the root of each norm, in (0, 0.1]
    is_tied                  whether the head is the embedding
    scales_outputs           whether the decoder's last states are multiplied by d_model^-0.5 before the head
    decoder_start_token_id   what every output begins with
    """

    model_type: T5Type
    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    relative_attention_num_buckets: int
    relative_attention_max_distance: int
    activation: Activation
    is_gated: bool
    layer_norm_epsilon: float
    is_tied: bool
    scales_outputs: bool
    decoder_start_token_id: int
    eos_token_ids: tuple[int, ...]
    pad_token_id: int | None
    max_positions: int = MAX_POSITIONS

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DamagedError(f"{name} is {value}; a T5 has {low} to {high:,}.")
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets % 2 or distance <= buckets // 2:
            raise DamagedError(
                f"relative_attention_num_buckets is {buckets} and relative_attention_max_distance is "
                f"{distance}; the first must be even, the second above half of it."
            )
        if not 0 < self.layer_norm_epsilon <= 0.1:
            raise DamagedError(f"layer_norm_epsilon is {self.layer_norm_epsilon}; it must be in (0, 0.1].")
        special = (self.decoder_start_token_id, *self.eos_token_ids, self.pad_token_id)
        if any(not 0 <= token_id < self.vocab_size for token_id in special if token_id is not None):
            raise DamagedError(
                f"a special token id of {special} is outside the vocabulary of {self.vocab_size:,}."
            )


def t5_config_from_json(table: Mapping[str, Any], where: str, *, has_head: bool) -> T5Config:
    """`table` is a parsed config.json, `where` its path; `has_head`: the weights hold a head of its own.

    A field that is left out means what transformers takes it to mean.
    """
    fields = Fields(table, where)
    model_type = _model_type(fields)
    fields.refuse("quantization_config")
    fields.refuse("is_encoder_decoder", True)
    is_t5 = model_type == "t5"
    num_layers = fields.integer("num_layers", 6 if is_t5 else 8)
    activation, is_gated = _feed_forward(fields, "relu" if is_t5 else "gated-gelu")
    # transformers 5 writes `tie_word_embeddings` true whatever the model is, and this field beside it.
    scales = fields.flag("scale_decoder_outputs", is_t5 and fields.flag("tie_word_embeddings", True))
    with errors_at(where):
        return T5Config(
            model_type=model_type,
            vocab_size=fields.integer("vocab_size"),
            d_model=fields.integer("d_model"),
            d_kv=fields.integer("d_kv", 64),
            d_ff=fields.integer("d_ff"),
            num_layers=num_layers,
            num_decoder_layers=fields.integer("num_decoder_layers", num_layers),
            num_heads=fields.integer("num_heads"),
            relative_attention_num_buckets=fields.integer("relative_attention_num_buckets", 32),
            relative_attention_max_distance=fields.integer("relative_attention_max_distance", 128),
            activation=activation,
            is_gated=is_gated,
            layer_norm_epsilon=fields.number("layer_norm_epsilon", 1e-6),
            is_tied=not has_head,
            scales_outputs=scales,
            decoder_start_token_id=fields.integer(
                "decoder_start_token_id", fields.integer("pad_token_id", 0)
            ),
            eos_token_ids=fields.integers("eos_token_id") or (1,),
            pad_token_id=fields.optional_integer("pad_token_id"),
        )


def _model_type(fields: Fields) -> T5Type:
    name = fields.text("model_type")
    for model_type in T5_MODEL_TYPES:
        if name == model_type:
            return model_type
    raise fields.error("model_type", f"is {name!r}; this reads {', '.join(T5_MODEL_TYPES)}")


def _feed_forward(fields: Fields, default: str) -> tuple[Activation, bool]:
    """The activation, and whether it gates: `gated-gelu` means the approximation by tanh."""
    text = fields.text("feed_forward_proj", default)
    is_gated = text.startswith("gated-")
    name = text.removeprefix("gated-")
    if text == "gated-gelu":
        name = "gelu_new"
    if name not in ACTIVATION_NAMES:
        known = ", ".join(ACTIVATION_NAMES)
        raise fields.error(
            "feed_forward_proj", f"is {text!r}; this version runs {known}, each also as gated-…"
        )
    return ACTIVATION_NAMES[name], is_gated
