"""Metadata of a GGUF file of GPT-2 or GPT-NeoX to a DecoderConfig."""

from typing import Any

from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.family import ModelType
from potstill.models.fields import Fields
from potstill.models.gguf_fields import MAX_COUNT, decimal, rope_of


def read_gpt(
    fields: Fields, model_type: ModelType, *, vocab_size: int, tied: bool, special: dict[str, Any]
) -> DecoderConfig:
    hidden_size = fields.count("embedding_length", MAX_COUNT)
    num_layers, num_heads = (
        fields.count("block_count", MAX_COUNT),
        fields.count("attention.head_count", MAX_COUNT),
    )
    if hidden_size % num_heads:
        raise fields.error(
            "attention.head_count", f"is {num_heads}, which does not divide the width of {hidden_size}"
        )
    head_dim = hidden_size // num_heads
    is_neox = model_type == "gpt_neox"
    rope = rope_of(fields, 10_000.0) if is_neox else RopeSettings(10_000.0)
    return DecoderConfig(
        model_type=model_type,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=fields.count("feed_forward_length", MAX_COUNT),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=head_dim,
        max_positions=fields.integer("context_length"),
        norm_eps=decimal(fields.number("attention.layer_norm_epsilon")),
        query_scale=head_dim**-0.5,
        activation="gelu" if is_neox else "gelu_pytorch_tanh",
        windows=(None,) * num_layers,
        rope=rope,
        rope_local=rope,
        partial_rotary_dim=fields.integer("rope.dimension_count", head_dim) if is_neox else None,
        parallel_residual=is_neox and fields.flag("use_parallel_residual", True),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=tied,
        **special,
    )
