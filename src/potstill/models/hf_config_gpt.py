"""config.json of GPT-2, GPT-NeoX, GPT-J and OPT, to a DecoderConfig and back."""

import math
from typing import Any

from potstill.models.config import DecoderConfig
from potstill.models.fields import Fields
from potstill.models.hf_common import MAX_HEADS, MAX_LAYERS, MAX_SIZE, activation, special_tokens
from potstill.models.hf_rope import read_rope, scaling_table, scaling_to_json

# OPT's files do not say it.
_OPT_NORM_EPS = 1e-5


def read_gpt2(fields: Fields) -> DecoderConfig:
    for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        fields.refuse(name, False)
    sizes = _n_sizes(fields)
    return DecoderConfig(
        model_type="gpt2",
        **sizes,
        max_positions=fields.integer("n_positions", 1024),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        query_scale=sizes["head_dim"] ** -0.5 if fields.flag("scale_attn_weights", True) else 1.0,
        activation=activation(fields, "activation_function", "gelu_new"),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=fields.flag("tie_word_embeddings", True),
        **special_tokens(fields),
    )


def read_gptj(fields: Fields) -> DecoderConfig:
    fields.refuse("tie_word_embeddings", False)
    if fields.mentions("rotary_dim") and not fields.has("rotary_dim"):
        raise fields.error("rotary_dim", "is null, which this version cannot run")
    sizes = _n_sizes(fields)
    return DecoderConfig(
        model_type="gptj",
        **sizes,
        max_positions=fields.integer("n_positions", 2048),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        query_scale=sizes["head_dim"] ** -0.5,
        activation=activation(fields, "activation_function", "gelu_new"),
        partial_rotary_dim=fields.integer("rotary_dim", 64),
        parallel_residual=True,
        mlp_bias=True,
        **special_tokens(fields),
    )


def read_neox(fields: Fields) -> DecoderConfig:
    sizes = _hidden_sizes(fields, fields.integer("intermediate_size"))
    share = scaling_table(fields).number("partial_rotary_factor", fields.number("rotary_pct", 0.25))
    if not 0 <= share <= 1:
        raise fields.error("rotary_pct", f"is {share}; it must be in [0, 1]")
    has_biases = fields.flag("attention_bias", True)
    return DecoderConfig(
        model_type="gpt_neox",
        **sizes,
        max_positions=fields.integer("max_position_embeddings", 2048),
        norm_eps=fields.number("layer_norm_eps", 1e-5),
        query_scale=sizes["head_dim"] ** -0.5,
        activation=activation(fields, "hidden_act", "gelu"),
        rope=(rope := read_rope(fields, fields.number("rotary_emb_base", 10_000.0))),
        rope_local=rope,
        partial_rotary_dim=int(sizes["head_dim"] * share),
        parallel_residual=fields.flag("use_parallel_residual", True),
        qkv_bias=has_biases,
        output_bias=has_biases,
        mlp_bias=True,
        tied=fields.flag("tie_word_embeddings", False),
        **special_tokens(fields),
    )


def read_opt(fields: Fields) -> DecoderConfig:
    sizes = _hidden_sizes(fields, fields.integer("ffn_dim"))
    fields.refuse("do_layer_norm_before", True)
    fields.refuse("_remove_final_layer_norm", False)
    fields.refuse("layer_norm_elementwise_affine", True)
    # Other sizes come with the projections `project_in` and `project_out` (OPT-350m).
    fields.refuse("word_embed_proj_dim", sizes["hidden_size"])
    has_biases = fields.flag("enable_bias", True)
    return DecoderConfig(
        model_type="opt",
        **sizes,
        max_positions=fields.integer("max_position_embeddings", 2048),
        norm_eps=_OPT_NORM_EPS,
        query_scale=sizes["head_dim"] ** -0.5,
        activation=activation(fields, "activation_function", "relu"),
        qkv_bias=has_biases,
        output_bias=has_biases,
        mlp_bias=has_biases,
        tied=fields.flag("tie_word_embeddings", True),
        **special_tokens(fields),
    )


def gpt_to_json(config: DecoderConfig) -> dict[str, Any]:
    """Without dropout: what is trained on is the caller's business."""
    if config.model_type in ("gpt2", "gptj"):
        return _n_sizes_to_json(config)
    sizes = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_positions,
        "attention_dropout": 0.0,
    }
    if config.model_type == "opt":
        return sizes | {
            "ffn_dim": config.intermediate_size,
            "word_embed_proj_dim": config.hidden_size,
            "activation_function": config.activation,
            "do_layer_norm_before": True,
            "enable_bias": config.qkv_bias,
            "dropout": 0.0,
            "layerdrop": 0.0,
        }
    return sizes | {
        "intermediate_size": config.intermediate_size,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "rotary_pct": _share(config.rotary_dim, config.head_dim),
        "rotary_emb_base": config.rope.theta,
        "rope_scaling": scaling_to_json(config.rope),
        "use_parallel_residual": config.parallel_residual,
        "attention_bias": config.qkv_bias,
        "hidden_dropout": 0.0,
    }


def _n_sizes_to_json(config: DecoderConfig) -> dict[str, Any]:
    dropouts = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)
    own: dict[str, Any] = {"rotary_dim": config.rotary_dim}
    if config.model_type == "gpt2":
        own = {"scale_attn_weights": config.query_scale != 1.0}
    return dropouts | {
        "n_embd": config.hidden_size,
        "n_inner": config.intermediate_size,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_positions": config.max_positions,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.norm_eps,
        **own,
    }


def _share(rotary_dim: int, head_dim: int) -> float:
    """The share whose product with `head_dim`, cut off as readers do, is `rotary_dim` again."""
    share = rotary_dim / head_dim
    return share if int(head_dim * share) == rotary_dim else math.nextafter(share, 1)


def _n_sizes(fields: Fields) -> dict[str, Any]:
    hidden_size = fields.count("n_embd", MAX_SIZE)
    return _sizes(
        fields, hidden_size, fields.integer("n_inner", 4 * hidden_size), layers="n_layer", heads="n_head"
    )


def _hidden_sizes(fields: Fields, intermediate_size: int) -> dict[str, Any]:
    hidden_size = fields.count("hidden_size", MAX_SIZE)
    return _sizes(
        fields, hidden_size, intermediate_size, layers="num_hidden_layers", heads="num_attention_heads"
    )


def _sizes(
    fields: Fields, hidden_size: int, intermediate_size: int, *, layers: str, heads: str
) -> dict[str, Any]:
    num_heads, num_layers = fields.count(heads, MAX_HEADS), fields.count(layers, MAX_LAYERS)
    if hidden_size % num_heads:
        raise fields.error(heads, f"is {num_heads}, which does not divide the width of {hidden_size}")
    return {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": num_heads,
        "head_dim": hidden_size // num_heads,
        "windows": (None,) * num_layers,
    }
