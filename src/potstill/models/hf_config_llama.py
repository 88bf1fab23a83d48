"""config.json of Llama, Mistral, Qwen and Gemma, to a DecoderConfig and back."""

from typing import Any

from potstill.models.config import DecoderConfig
from potstill.models.family import FAMILIES, ModelType
from potstill.models.fields import Fields
from potstill.models.hf_common import MAX_HEADS, MAX_LAYERS, MAX_SIZE, activation, special_tokens
from potstill.models.hf_rope import read_rope, read_two_ropes, refuse_partial_turns, scaling_to_json

# What transformers takes where a field is left out.
_GEMMA_3_THETA, _GEMMA_3_LOCAL_THETA, _THETA = 1_000_000.0, 10_000.0, 10_000.0
_HEAD_DIM = {"gemma2": 256, "gemma3_text": 256, "qwen3": 128}
_MAX_POSITIONS = {"gemma2": 8192, "gemma3_text": 131_072, "mistral": 131_072}
_GEMMA_2_SOFTCAP, _GEMMA_2_LOGIT_SOFTCAP = 50.0, 30.0
# Every second or every sixth layer sees everything.
_GEMMA_WINDOW_PATTERN = {"gemma2": 2, "gemma3_text": 6}


def read_llama(fields: Fields, model_type: ModelType) -> DecoderConfig:
    refuse_partial_turns(fields)
    fields.refuse("use_bidirectional_attention", False)
    is_gemma = FAMILIES[model_type].scales_embedding
    has_biases = fields.flag("attention_bias", False) and model_type != "mistral"
    num_layers = fields.count("num_hidden_layers", MAX_LAYERS)
    num_heads = fields.count("num_attention_heads", MAX_HEADS)
    hidden_size = fields.count("hidden_size", MAX_SIZE)
    head_dim = fields.count("head_dim", MAX_SIZE, _HEAD_DIM.get(model_type, hidden_size // num_heads))
    if model_type == "gemma3_text":
        rope, rope_local = read_two_ropes(fields, _GEMMA_3_THETA, _GEMMA_3_LOCAL_THETA)
    else:
        rope = rope_local = read_rope(fields, _THETA)
    return DecoderConfig(
        model_type=model_type,
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden_size,
        intermediate_size=fields.integer("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=fields.count("num_key_value_heads", MAX_HEADS, num_heads),
        head_dim=head_dim,
        max_positions=fields.integer("max_position_embeddings", _MAX_POSITIONS.get(model_type, 2048)),
        norm_eps=fields.number("rms_norm_eps", 1e-6),
        query_scale=_query_scale(fields, head_dim) if is_gemma else head_dim**-0.5,
        activation=activation(fields, *_activation_field(is_gemma)),
        rope=rope,
        rope_local=rope_local,
        windows=_windows(fields, model_type, num_layers),
        qkv_bias=model_type == "qwen2" or has_biases,
        output_bias=model_type != "qwen2" and has_biases,
        mlp_bias=model_type == "llama" and fields.flag("mlp_bias", False),
        tied=fields.flag("tie_word_embeddings", is_gemma),
        attention_softcap=_attention_softcap(fields, model_type),
        logit_softcap=_or_default(
            fields, "final_logit_softcapping", _GEMMA_2_LOGIT_SOFTCAP if model_type == "gemma2" else None
        ),
        **special_tokens(fields),
    )


def llama_to_json(config: DecoderConfig) -> dict[str, Any]:
    table: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        _activation_field(config.family.scales_embedding)[0]: config.activation,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope.theta,
        "rope_scaling": scaling_to_json(config.rope),
        "attention_bias": config.qkv_bias,
        "attention_dropout": 0.0,
    }
    return table | _family_to_json(config)


def _family_to_json(config: DecoderConfig) -> dict[str, Any]:
    layer_types = ["full_attention" if window is None else "sliding_attention" for window in config.windows]
    window = next((window for window in config.windows if window is not None), None)
    if config.family.scales_embedding:
        local = {"rope_local_base_freq": config.rope_local.theta}
        return {
            "query_pre_attn_scalar": round(config.query_scale**-2),
            "sliding_window": window or 4096,
            "layer_types": layer_types,
            "final_logit_softcapping": config.logit_softcap,
            "attn_logit_softcapping": config.attention_softcap,
            "use_bidirectional_attention": False,
            **(local if config.model_type == "gemma3_text" else {}),
        }
    if config.model_type == "llama":
        return {"mlp_bias": config.mlp_bias}
    if config.model_type == "mistral":
        return {"sliding_window": window}
    first = layer_types.index("sliding_attention") if window else config.num_layers
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": first,
        "layer_types": layer_types,
    }


def _activation_field(is_gemma: bool) -> tuple[str, str]:
    """Its name, and what is meant without it."""
    return ("hidden_activation", "gelu_pytorch_tanh") if is_gemma else ("hidden_act", "silu")


def _query_scale(fields: Fields, head_dim: int) -> float:
    scalar = fields.number("query_pre_attn_scalar", 256)
    if scalar <= 0:
        raise fields.error("query_pre_attn_scalar", f"is {scalar}; it must be above 0")
    return float(scalar**-0.5)


def _attention_softcap(fields: Fields, model_type: ModelType) -> float | None:
    if model_type == "gemma2":
        return _or_default(fields, "attn_logit_softcapping", _GEMMA_2_SOFTCAP)
    fields.refuse("attn_logit_softcapping")
    return None


def _or_default(fields: Fields, name: str, default: float | None) -> float | None:
    """A number that null switches off and that has a default where it is not mentioned."""
    return fields.optional_number(name) if fields.mentions(name) else default


def _windows(fields: Fields, model_type: ModelType, num_layers: int) -> tuple[int | None, ...]:
    if model_type == "llama":
        return (None,) * num_layers
    if model_type == "mistral":
        fields.refuse("layer_types")
        is_full = fields.mentions("sliding_window") and not fields.has("sliding_window")
        return (None if is_full else fields.integer("sliding_window", 4096),) * num_layers
    if model_type in ("qwen2", "qwen3") and not fields.flag("use_sliding_window", False):
        return (None,) * num_layers
    window = fields.integer("sliding_window", 4096)
    return tuple(window if is_local else None for is_local in _local_layers(fields, model_type, num_layers))


def _local_layers(fields: Fields, model_type: ModelType, num_layers: int) -> list[bool]:
    if fields.has("layer_types"):
        known = {"full_attention": False, "sliding_attention": True}
        kinds = fields.texts("layer_types")
        if len(kinds) != num_layers or not known.keys() >= set(kinds):
            raise fields.error("layer_types", f"must be {num_layers} of {', '.join(known)}")
        return [known[kind] for kind in kinds]
    if model_type in _GEMMA_WINDOW_PATTERN:
        old_name, name = "_sliding_window_pattern", "sliding_window_pattern"
        pattern = fields.integer(name, fields.integer(old_name, _GEMMA_WINDOW_PATTERN[model_type]))
        if pattern < 1:
            raise fields.error(name, f"is {pattern}; it must be above 0")
        return [(layer + 1) % pattern != 0 for layer in range(num_layers)]
    first = fields.integer("max_window_layers", 28)
    return [layer >= first for layer in range(num_layers)]
