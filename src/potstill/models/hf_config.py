"""config.json of a folder in Hugging Face layout, to a DecoderConfig and back.

Reads both spellings of rotary settings: `rope_theta` and `rope_scaling` (transformers 4) and
`rope_parameters` (transformers 5). Writes the older one, which every reader of that layout understands.
"""

from collections.abc import Mapping
from typing import Any

import torch

from potstill.layers.mlp import Activation
from potstill.layers.rope import LinearScaling, Llama3Scaling, RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.family import MODEL_TYPES, ModelType
from potstill.models.fields import Fields, errors_at

ARCHITECTURES: dict[ModelType, str] = {
    "gemma3_text": "Gemma3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
    "gelu_tanh": "gelu_pytorch_tanh",
}
# What transformers takes where a field is left out: (Gemma 3, the others).
_DEFAULT_THETA = (1_000_000.0, 10_000.0)
_GEMMA_LOCAL_THETA = 10_000.0
_GEMMA_WINDOW_PATTERN = 6


def config_from_json(table: Mapping[str, Any], where: str) -> DecoderConfig:
    """`table` is a parsed config.json, `where` its path; DamagedError names the field that is wrong."""
    fields = Fields(table, where)
    model_type = _model_type(fields)
    _refuse_unknown(fields)
    is_gemma = model_type == "gemma3_text"
    has_biases = fields.flag("attention_bias", False)
    num_layers = _in_range(fields, "num_hidden_layers", 1024)
    num_heads = _in_range(fields, "num_attention_heads", 1024)
    hidden_size = _in_range(fields, "hidden_size", 1 << 16)
    head_dim = fields.integer("head_dim", _default_head_dim(model_type, hidden_size, num_heads))
    rope, rope_local = _ropes(fields, is_gemma)
    with errors_at(where):
        return DecoderConfig(
            model_type=model_type,
            vocab_size=fields.integer("vocab_size"),
            hidden_size=hidden_size,
            intermediate_size=fields.integer("intermediate_size"),
            num_layers=num_layers,
            num_heads=num_heads,
            num_kv_heads=_in_range(fields, "num_key_value_heads", 1024, num_heads),
            head_dim=head_dim,
            max_positions=fields.integer("max_position_embeddings", 131_072 if is_gemma else 2048),
            norm_eps=fields.number("rms_norm_eps", 1e-6),
            query_scale=_query_scale(fields, is_gemma, head_dim),
            activation=_activation(fields, is_gemma),
            rope=rope,
            rope_local=rope_local,
            windows=_windows(fields, model_type, num_layers),
            qkv_bias=model_type == "qwen2" or has_biases,
            output_bias=model_type != "qwen2" and has_biases,
            mlp_bias=model_type == "llama" and fields.flag("mlp_bias", False),
            tied=fields.flag("tie_word_embeddings", is_gemma),
            logit_softcap=fields.optional_number("final_logit_softcapping"),
            bos_token_id=fields.optional_integer("bos_token_id"),
            eos_token_ids=fields.integers("eos_token_id"),
            pad_token_id=fields.optional_integer("pad_token_id"),
        )


def config_to_json(config: DecoderConfig, dtype: torch.dtype) -> dict[str, Any]:
    """What transformers and llama.cpp's converter need to load the model as it was."""
    is_gemma = config.model_type == "gemma3_text"
    activation = "hidden_activation" if is_gemma else "hidden_act"
    eos = config.eos_token_ids
    table: dict[str, Any] = {
        "architectures": [ARCHITECTURES[config.model_type]],
        "model_type": config.model_type,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        activation: config.activation,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope.theta,
        "rope_scaling": _scaling_to_json(config.rope),
        "attention_bias": config.qkv_bias,
        "attention_dropout": 0.0,
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": eos[0] if len(eos) == 1 else list(eos) or None,
        "pad_token_id": config.pad_token_id,
        "use_cache": True,
    }
    return table | _family_to_json(config)


def _family_to_json(config: DecoderConfig) -> dict[str, Any]:
    layer_types = ["full_attention" if window is None else "sliding_attention" for window in config.windows]
    window = next((window for window in config.windows if window is not None), None)
    if config.model_type == "gemma3_text":
        return {
            "query_pre_attn_scalar": round(config.query_scale**-2),
            "rope_local_base_freq": config.rope_local.theta,
            "sliding_window": window or 4096,
            "layer_types": layer_types,
            "final_logit_softcapping": config.logit_softcap,
            "attn_logit_softcapping": None,
            "use_bidirectional_attention": False,
        }
    if config.model_type == "llama":
        return {"mlp_bias": config.mlp_bias}
    first = layer_types.index("sliding_attention") if window else config.num_layers
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": first,
        "layer_types": layer_types,
    }


def _scaling_to_json(rope: RopeSettings) -> dict[str, Any] | None:
    scaling = rope.scaling
    if scaling is None:
        return None
    if isinstance(scaling, LinearScaling):
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_positions,
    }


def _refuse_unknown(fields: Fields) -> None:
    """Settings of these families that change what is computed and that we do not compute."""
    for name in ("quantization_config", "attn_logit_softcapping"):
        fields.refuse(name)
    fields.refuse("partial_rotary_factor", 1, 1.0)
    fields.refuse("use_bidirectional_attention", False)


def _model_type(fields: Fields) -> ModelType:
    name = fields.text("model_type")
    for model_type in MODEL_TYPES:
        if name == model_type:
            return model_type
    raise fields.error("model_type", f"is {name!r}; this version runs {', '.join(MODEL_TYPES)}")


def _in_range(fields: Fields, name: str, high: int, default: int | None = None) -> int:
    value = fields.integer(name, default)
    if not 1 <= value <= high:
        raise fields.error(name, f"is {value}; it must be in 1 to {high:,}")
    return value


def _default_head_dim(model_type: ModelType, hidden_size: int, num_heads: int) -> int:
    fixed = {"gemma3_text": 256, "qwen3": 128}
    return fixed.get(model_type, hidden_size // num_heads)


def _query_scale(fields: Fields, is_gemma: bool, head_dim: int) -> float:
    if not is_gemma:
        return float(max(head_dim, 1) ** -0.5)
    scalar = fields.number("query_pre_attn_scalar", 256)
    if scalar <= 0:
        raise fields.error("query_pre_attn_scalar", f"is {scalar}; it must be above 0")
    return float(scalar**-0.5)


def _activation(fields: Fields, is_gemma: bool) -> Activation:
    names = ("hidden_activation", "gelu_pytorch_tanh") if is_gemma else ("hidden_act", "silu")
    value = fields.text(*names)
    if value not in _ACTIVATIONS:
        raise fields.error(names[0], f"is {value!r}; this version runs {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[value]


def _windows(fields: Fields, model_type: ModelType, num_layers: int) -> tuple[int | None, ...]:
    if model_type == "llama":
        return (None,) * num_layers
    if model_type != "gemma3_text" and not fields.flag("use_sliding_window", False):
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
    if model_type == "gemma3_text":
        old_name, name = "_sliding_window_pattern", "sliding_window_pattern"
        pattern = fields.integer(name, fields.integer(old_name, _GEMMA_WINDOW_PATTERN))
        if pattern < 1:
            raise fields.error(name, f"is {pattern}; it must be above 0")
        return [(layer + 1) % pattern != 0 for layer in range(num_layers)]
    first = fields.integer("max_window_layers", 28)
    return [layer >= first for layer in range(num_layers)]


def _ropes(fields: Fields, is_gemma: bool) -> tuple[RopeSettings, RopeSettings]:
    """The settings of layers that see everything and of layers with a window."""
    default_theta = _DEFAULT_THETA[0 if is_gemma else 1]
    theta = fields.number("rope_theta", default_theta)
    parameters = fields.table("rope_parameters")
    if not is_gemma:
        rope = _rope(
            fields.table("rope_scaling") if fields.has("rope_scaling") else parameters, fields, theta
        )
        return rope, rope
    local_theta = fields.number("rope_local_base_freq", _GEMMA_LOCAL_THETA)
    full = parameters.table("full_attention")
    rope = _rope(fields.table("rope_scaling") if fields.has("rope_scaling") else full, fields, theta)
    if full.has("rope_theta"):
        rope = RopeSettings(full.number("rope_theta"), rope.scaling)
    local = parameters.table("sliding_attention")
    local.refuse("rope_type", "default")
    return rope, _rope(local, fields, local_theta)


def _rope(parameters: Fields, fields: Fields, theta: float) -> RopeSettings:
    theta = parameters.number("rope_theta", theta)
    parameters.refuse("partial_rotary_factor", 1, 1.0)
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    if kind == "default":
        return RopeSettings(theta)
    if kind == "linear":
        return RopeSettings(theta, LinearScaling(parameters.number("factor")))
    if kind == "llama3":
        scaling = Llama3Scaling(
            parameters.number("factor"),
            parameters.number("low_freq_factor"),
            parameters.number("high_freq_factor"),
            parameters.integer(
                "original_max_position_embeddings", fields.integer("max_position_embeddings", 2048)
            ),
        )
        return RopeSettings(theta, scaling)
    raise parameters.error("rope_type", f"is {kind!r}; this version runs default, linear, llama3")
