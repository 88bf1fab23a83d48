"""config.json of GPT-2, GPT-NeoX, GPT-J, OPT, Mistral and Gemma 2, as published and damaged."""

from typing import Any

import pytest
import torch

from potstill.errors import DamagedError
from potstill.layers.rope import LinearScaling, RopeSettings
from potstill.models.hf_config import config_from_json, config_to_json

# As published, less what has no effect here.
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "layer_norm_epsilon": 1e-05,
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
}
PYTHIA_70M: dict[str, Any] = {
    "model_type": "gpt_neox",
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 512,
    "intermediate_size": 2048,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "num_attention_heads": 8,
    "num_hidden_layers": 6,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_parallel_residual": True,
    "vocab_size": 50304,
}
GPTJ_6B: dict[str, Any] = {
    "model_type": "gptj",
    "activation_function": "gelu_new",
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "layer_norm_epsilon": 1e-05,
    "n_embd": 4096,
    "n_head": 16,
    "n_inner": None,
    "n_layer": 28,
    "n_positions": 2048,
    "rotary": True,
    "rotary_dim": 64,
    "tie_word_embeddings": False,
    "vocab_size": 50400,
}
OPT_125M: dict[str, Any] = {
    "model_type": "opt",
    "activation_function": "relu",
    "_remove_final_layer_norm": False,
    "bos_token_id": 2,
    "do_layer_norm_before": True,
    "eos_token_id": 2,
    "ffn_dim": 3072,
    "hidden_size": 768,
    "max_position_embeddings": 2048,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "prefix": "</s>",
    "vocab_size": 50272,
    "word_embed_proj_dim": 768,
}
MISTRAL_7B: dict[str, Any] = {
    "model_type": "mistral",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
GEMMA_2_2B: dict[str, Any] = {
    "model_type": "gemma2",
    "attn_logit_softcapping": 50.0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "final_logit_softcapping": 30.0,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "max_position_embeddings": 8192,
    "num_attention_heads": 8,
    "num_hidden_layers": 26,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "vocab_size": 256000,
}
PUBLISHED = [GPT2, PYTHIA_70M, GPTJ_6B, OPT_125M, MISTRAL_7B, GEMMA_2_2B]


def read(table: dict[str, Any], **changes: Any) -> Any:
    return config_from_json(table | changes, "there/config.json")


def test_gpt2_reads_as_it_is() -> None:
    config = read(GPT2)
    assert (config.intermediate_size, config.head_dim, config.max_positions) == (3072, 64, 1024)
    assert (config.tied, config.rotary_dim, config.family.position_offset) == (True, 0, 0)
    assert (config.qkv_bias, config.output_bias, config.mlp_bias) == (True, True, True)


def test_pythia_turns_a_quarter_of_each_head() -> None:
    config = read(PYTHIA_70M)
    assert (config.head_dim, config.rotary_dim, config.parallel_residual, config.tied) == (
        64,
        16,
        True,
        False,
    )


def test_both_spellings_of_partial_rotation_read_alike() -> None:
    older = PYTHIA_70M | {"rotary_emb_base": 500, "rotary_pct": 0.5}
    newer = {name: value for name, value in PYTHIA_70M.items() if not name.startswith("rotary")}
    newer["rope_parameters"] = {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
    assert read(older) == read(newer)
    assert read(newer).rope == RopeSettings(500.0)
    stretched = read(older, rope_scaling={"type": "linear", "factor": 2.0})
    assert (stretched.rope.scaling, stretched.rotary_dim) == (LinearScaling(2.0), 32)


def test_gptj_and_opt_read_as_they_are() -> None:
    gptj, opt = read(GPTJ_6B), read(OPT_125M)
    assert (gptj.intermediate_size, gptj.rotary_dim, gptj.qkv_bias, gptj.mlp_bias) == (16384, 64, False, True)
    assert gptj.parallel_residual and gptj.family.head_bias
    assert (opt.activation, opt.family.position_offset, opt.norm_eps, opt.tied) == ("relu", 2, 1e-5, True)


def test_mistral_has_its_window_on_every_layer_or_on_none() -> None:
    assert read(MISTRAL_7B).windows == (4096,) * 32
    assert read(MISTRAL_7B, sliding_window=None).windows == (None,) * 32


def test_gemma_2_caps_and_has_a_window_on_every_second_layer() -> None:
    config = read(GEMMA_2_2B)
    assert config.windows == (4096, None) * 13
    assert (config.attention_softcap, config.logit_softcap, config.query_scale) == (50.0, 30.0, 1 / 16)
    assert config.rope == config.rope_local == RopeSettings(10_000.0)
    uncapped = read(GEMMA_2_2B, attn_logit_softcapping=None, final_logit_softcapping=None)
    assert (uncapped.attention_softcap, uncapped.logit_softcap) == (None, None)
    unsaid = {name: value for name, value in GEMMA_2_2B.items() if "softcapping" not in name}
    assert read(unsaid) == config


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: str(table["model_type"]))
def test_what_is_written_reads_as_the_same(table: dict[str, Any]) -> None:
    config = read(table)
    assert config_from_json(config_to_json(config, torch.bfloat16), "config.json") == config


@pytest.mark.parametrize("head_dim", [20, 48, 96, 98, 112])
def test_every_number_of_turned_numbers_survives_being_written_as_a_share(head_dim: int) -> None:
    for rotary_dim in range(2, head_dim + 1, 2):
        share = min(1.0, (rotary_dim + 0.1) / head_dim)
        config = read(PYTHIA_70M, hidden_size=8 * head_dim, rotary_pct=share)
        assert config.rotary_dim == rotary_dim
        assert config_from_json(config_to_json(config, torch.bfloat16), "x").rotary_dim == rotary_dim


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (GPT2, {"n_embd": None}, "n_embd is missing"),
        (GPT2, {"n_embd": 10**9}, "n_embd is 1000000000"),
        (GPT2, {"n_layer": 0}, "n_layer is 0"),
        (GPT2, {"n_head": 7}, "n_head is 7, which does not divide the width of 768"),
        (GPT2, {"n_positions": 2**40}, "max_positions is 1099511627776"),
        (GPT2, {"n_inner": -1}, "intermediate_size is -1"),
        (GPT2, {"layer_norm_epsilon": 0}, "norm_eps is 0"),
        (GPT2, {"vocab_size": 2**63}, "vocab_size is 9223372036854775808"),
        (GPT2, {"eos_token_id": 60000}, "special token id"),
        (GPT2, {"activation_function": "quick_gelu"}, "activation_function is 'quick_gelu'"),
        (GPT2, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        (GPT2, {"add_cross_attention": True}, "add_cross_attention is True"),
        (GPT2, {"scale_attn_weights": "no"}, "scale_attn_weights is 'no'"),
        (PYTHIA_70M, {"rotary_pct": 1.5}, r"rotary_pct is 1\.5"),
        (PYTHIA_70M, {"rotary_pct": 0.05}, "rotary_dim is 3; it must be even"),
        (PYTHIA_70M, {"rotary_emb_base": 0}, "rope.theta is 0"),
        (PYTHIA_70M, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type is 'dynamic'"),
        (PYTHIA_70M, {"use_parallel_residual": 1}, "use_parallel_residual is 1"),
        (GPTJ_6B, {"rotary_dim": None}, "rotary_dim is null"),
        (GPTJ_6B, {"rotary_dim": 258}, "rotary_dim is 258"),
        (GPTJ_6B, {"rotary_dim": -2}, "rotary_dim is -2"),
        (GPTJ_6B, {"tie_word_embeddings": True}, "tie_word_embeddings is True"),
        (OPT_125M, {"do_layer_norm_before": False}, "do_layer_norm_before is False"),
        (OPT_125M, {"word_embed_proj_dim": 512}, "word_embed_proj_dim is 512"),
        (OPT_125M, {"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine is False"),
        (OPT_125M, {"_remove_final_layer_norm": True}, "_remove_final_layer_norm is True"),
        (OPT_125M, {"ffn_dim": None}, "ffn_dim is missing"),
        (MISTRAL_7B, {"head_dim": 10**400}, "head_dim is 1000"),
        (MISTRAL_7B, {"sliding_window": 0}, "windows"),
        (MISTRAL_7B, {"sliding_window": "all"}, "sliding_window is 'all'"),
        (MISTRAL_7B, {"layer_types": ["full_attention"] * 32}, "layer_types is"),
        (GEMMA_2_2B, {"attn_logit_softcapping": -1}, "attention_softcap is -1"),
        (GEMMA_2_2B, {"attn_logit_softcapping": float("nan")}, "attn_logit_softcapping is nan"),
        (GEMMA_2_2B, {"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        (GEMMA_2_2B, {"layer_types": ["full_attention"]}, "layer_types must be 26 of"),
        (GEMMA_2_2B, {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is 0"),
    ],
)
def test_a_wrong_field_is_named(table: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedError, match=message) as caught:
        read(table, **changes)
    assert str(caught.value).startswith("there/config.json: ")
