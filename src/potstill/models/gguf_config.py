"""Metadata of a GGUF file to a DecoderConfig: llama.cpp's names and what it leaves unsaid."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from potstill.layers.rope import LinearScaling, RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.family import ModelType
from potstill.models.fields import Fields, errors_at

ARCHITECTURES: dict[str, ModelType] = {
    "gemma3": "gemma3_text",
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
}
# llama.cpp has these in its code, not in the file (src/models/gemma3.cpp).
_GEMMA_WINDOW_PATTERN = 6
_GEMMA_LOCAL_THETA = 10_000.0
_GEMMA_27B_LAYERS = 62


def config_from_gguf(
    metadata: Mapping[str, Any], *, vocab_size: int, tied: bool, biases: frozenset[str], where: str
) -> DecoderConfig:
    """`vocab_size` and `tied` are seen from the tensors, and so are `biases`, the names of block 0's biases.

    Scaling as in Llama 3 stands in a tensor (`rope_freqs.weight`); `models.load` adds it.
    """
    top = Fields(metadata, where)
    model_type, fields = _of_architecture(top, metadata, where)
    is_gemma = model_type == "gemma3_text"
    num_layers, num_heads = _count(fields, "block_count"), _count(fields, "attention.head_count")
    hidden_size = _count(fields, "embedding_length")
    head_dim = _head_dim(fields, hidden_size // num_heads)
    rope = _rope(fields, 10_000.0)
    with errors_at(where):
        return DecoderConfig(
            model_type=model_type,
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            intermediate_size=_count(fields, "feed_forward_length"),
            num_layers=num_layers,
            num_heads=num_heads,
            num_kv_heads=fields.integer("attention.head_count_kv", num_heads),
            head_dim=head_dim,
            max_positions=fields.integer("context_length"),
            norm_eps=_decimal(fields.number("attention.layer_norm_rms_epsilon")),
            query_scale=_query_scale(is_gemma, num_layers, hidden_size, num_heads, head_dim),
            activation="gelu_pytorch_tanh" if is_gemma else "silu",
            rope=rope,
            rope_local=_local_rope(fields) if is_gemma else rope,
            windows=_windows(fields, num_layers) if is_gemma else (None,) * num_layers,
            qkv_bias="attn_q.bias" in biases,
            output_bias="attn_output.bias" in biases,
            mlp_bias="ffn_up.bias" in biases,
            tied=tied,
            logit_softcap=fields.optional_number("final_logit_softcapping"),
            bos_token_id=top.optional_integer("tokenizer.ggml.bos_token_id"),
            eos_token_ids=top.integers("tokenizer.ggml.eos_token_id"),
            pad_token_id=top.optional_integer("tokenizer.ggml.padding_token_id"),
        )


def _of_architecture(top: Fields, metadata: Mapping[str, Any], where: str) -> tuple[ModelType, Fields]:
    """The family, and the metadata under its name when nothing in it is beyond us."""
    architecture = top.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise top.error(
            "general.architecture", f"is {architecture!r}; this version runs {', '.join(ARCHITECTURES)}"
        )
    start = f"{architecture}."
    fields = Fields(
        {key.removeprefix(start): value for key, value in metadata.items() if key.startswith(start)},
        f"{where}: {architecture}",
    )
    for name in ("expert_count", "attn_logit_softcapping"):
        fields.refuse(name, 0, 0.0)
    return ARCHITECTURES[architecture], fields


def _count(fields: Fields, name: str) -> int:
    value = fields.integer(name)
    if not 1 <= value <= 1 << 20:
        raise fields.error(name, f"is {value}; it must be in 1 to {1 << 20:,}")
    return value


def _decimal(value: float) -> float:
    """The decimal that was meant: the file holds float32, in which 1e-6 is 9.999999974752427e-07."""
    return float(str(np.float32(value)))


def _head_dim(fields: Fields, default: int) -> int:
    head_dim = fields.integer("attention.key_length", default)
    for name in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(name, head_dim) != head_dim:
            raise fields.error(
                name, f"differs from the head size of {head_dim}, which this version cannot run"
            )
    return head_dim


def _query_scale(is_gemma: bool, num_layers: int, hidden_size: int, num_heads: int, head_dim: int) -> float:
    if is_gemma and num_layers == _GEMMA_27B_LAYERS:
        return float((hidden_size / num_heads) ** -0.5)
    return float(max(head_dim, 1) ** -0.5)


def _rope(fields: Fields, default_theta: float) -> RopeSettings:
    theta = fields.number("rope.freq_base", default_theta)
    kind = fields.text("rope.scaling.type", "none")
    if kind == "none":
        return RopeSettings(theta)
    if kind == "linear":
        return RopeSettings(theta, LinearScaling(fields.number("rope.scaling.factor")))
    raise fields.error("rope.scaling.type", f"is {kind!r}; this version runs none and linear")


def _local_rope(fields: Fields) -> RopeSettings:
    return RopeSettings(fields.number("rope.freq_base_swa", _GEMMA_LOCAL_THETA))


def _windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    window = fields.integer("attention.sliding_window")
    pattern = fields.integer("attention.sliding_window_pattern", _GEMMA_WINDOW_PATTERN)
    if pattern < 1:
        raise fields.error("attention.sliding_window_pattern", f"is {pattern}; it must be above 0")
    return tuple(None if (layer + 1) % pattern == 0 else window for layer in range(num_layers))
