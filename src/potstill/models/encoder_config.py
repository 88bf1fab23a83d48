"""What an encoder is made of: config.json of BERT, RoBERTa and XLM-RoBERTa, checked before allocation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from potstill.errors import DamagedError
from potstill.layers.mlp import Activation
from potstill.models.fields import Fields, errors_at
from potstill.models.hf_common import activation

EncoderType = Literal["bert", "roberta", "xlm-roberta"]
ENCODER_TYPES: tuple[EncoderType, ...] = get_args(EncoderType)

_MAX_LABELS = 1 << 16

# Far above any published encoder; below what would make the checks themselves expensive.
_RANGES = {
    "vocab_size": (1, 1 << 22),
    "hidden_size": (1, 1 << 16),
    "intermediate_size": (1, 1 << 20),
    "num_hidden_layers": (1, 1024),
    "num_attention_heads": (1, 1024),
    "max_position_embeddings": (1, 1 << 20),
    "type_vocab_size": (1, 1024),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What its config.json says of an encoder, by the names there; DamagedError names a field out of range.

    activation        of the feed-forward blocks
    layer_norm_eps    added under the root of each norm, in (0, 0.1]
    position_offset   rows of the table of positions before that of position 0
    labels            of a head that sorts texts, by their ids; () where there is none
    is_multi_label    whether several labels may hold at once
    """

    model_type: EncoderType
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    type_vocab_size: int
    activation: Activation
    layer_norm_eps: float
    position_offset: int = 0
    labels: tuple[str, ...] = ()
    is_multi_label: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DamagedError(f"{name} is {value}; an encoder has {low} to {high:,}.")
        if self.hidden_size % self.num_attention_heads:
            raise DamagedError(
                f"hidden_size is {self.hidden_size}; it must be a multiple of num_attention_heads, "
                f"{self.num_attention_heads}."
            )
        if not 0 < self.layer_norm_eps <= 0.1:
            raise DamagedError(f"layer_norm_eps is {self.layer_norm_eps}; it must be in (0, 0.1].")
        if not 0 <= self.position_offset < self.max_position_embeddings:
            raise DamagedError(
                f"pad_token_id is {self.position_offset - 1}; positions begin after it, and there are "
                f"{self.max_position_embeddings} rows of them in max_position_embeddings."
            )

    @property
    def max_positions(self) -> int:
        """Tokens of the longest text, special ones included."""
        return self.max_position_embeddings - self.position_offset


def encoder_config_from_json(table: Mapping[str, Any], where: str) -> EncoderConfig:
    """`table` is a parsed config.json, `where` its path.

    A field that is left out means what transformers takes it to mean.
    """
    fields = Fields(table, where)
    model_type = _model_type(fields)
    _refuse_unknown(fields)
    is_bert = model_type == "bert"
    with errors_at(where):
        return EncoderConfig(
            model_type=model_type,
            vocab_size=fields.integer("vocab_size", 30522 if is_bert else 50265),
            hidden_size=fields.integer("hidden_size", 768),
            intermediate_size=fields.integer("intermediate_size", 3072),
            num_hidden_layers=fields.integer("num_hidden_layers", 12),
            num_attention_heads=fields.integer("num_attention_heads", 12),
            max_position_embeddings=fields.integer("max_position_embeddings", 512),
            type_vocab_size=fields.integer("type_vocab_size", 2),
            activation=activation(fields, "hidden_act", "gelu"),
            layer_norm_eps=fields.number("layer_norm_eps", 1e-12),
            position_offset=0 if is_bert else fields.integer("pad_token_id", 1) + 1,
            labels=_labels(table, fields),
            is_multi_label=fields.text("problem_type", "") == "multi_label_classification",
        )


def _model_type(fields: Fields) -> EncoderType:
    name = fields.text("model_type")
    for model_type in ENCODER_TYPES:
        if name == model_type:
            return model_type
    raise fields.error("model_type", f"is {name!r}; this reads {', '.join(ENCODER_TYPES)}")


def _refuse_unknown(fields: Fields) -> None:
    """Settings of these families that change what is computed and that we do not compute."""
    fields.refuse("quantization_config")
    fields.refuse("is_decoder", False)
    fields.refuse("add_cross_attention", False)
    fields.refuse("position_embedding_type", "absolute")
    fields.refuse("problem_type", "single_label_classification", "multi_label_classification")


def _labels(table: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    """Of `id2label`, or the names transformers gives two labels where there are no others."""
    named = table.get("id2label")
    if named is None:
        count = fields.integer("num_labels", 2)
        if not 1 <= count <= _MAX_LABELS:
            raise fields.error("num_labels", f"is {count}; it must be in 1 to {_MAX_LABELS:,}")
        return tuple(f"LABEL_{label_id}" for label_id in range(count))
    names = {str(label_id): name for label_id, name in named.items()} if isinstance(named, dict) else {}
    labels = [names.get(str(label_id)) for label_id in range(len(names))]
    if not 1 <= len(labels) <= _MAX_LABELS or not all(isinstance(name, str) for name in labels):
        raise fields.error("id2label", "must name each label from 0 on")
    return tuple(str(name) for name in labels)
