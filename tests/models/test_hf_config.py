"""config.json, good and bad."""

from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.errors import DamagedError
from potstill.layers.rope import LinearScaling, Llama3Scaling, RopeSettings
from potstill.models.hf_config import config_from_json, config_to_json

# As published at huggingface.co/google/gemma-3-270m, less what has no effect.
GEMMA_270M: dict[str, Any] = {
    "_sliding_window_pattern": 6,
    "architectures": ["Gemma3ForCausalLM"],
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 640,
    "intermediate_size": 2048,
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "use_bidirectional_attention": False,
    "vocab_size": 262144,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "eos_token_id": [128001, 128009],
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": True,
}


def test_gemma_270m_reads_as_it_is() -> None:
    config = config_from_json(GEMMA_270M, "config.json")
    assert config.windows == ((512,) * 5 + (None,)) * 3
    assert (config.rope.theta, config.rope_local.theta) == (1e6, 1e4)
    assert (config.query_scale, config.tied, config.eos_token_ids) == (1 / 16, True, (1,))


def test_llama3_scaling_reads_as_it_is() -> None:
    config = config_from_json(LLAMA, "config.json")
    assert config.rope == RopeSettings(500_000.0, Llama3Scaling(32.0, 1.0, 4.0, 8192))
    assert (config.head_dim, config.tied, config.eos_token_ids) == (64, True, (128001, 128009))


def test_both_spellings_of_rotary_settings_read_alike() -> None:
    older = LLAMA | {"rope_theta": 300.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    newer = {key: value for key, value in LLAMA.items() if not key.startswith("rope")}
    newer["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0}
    config = config_from_json(older, "config.json")
    assert config.rope.scaling == LinearScaling(2.0)
    assert config == config_from_json(newer, "config.json")


@pytest.mark.parametrize(
    "table",
    [
        GEMMA_270M,
        GEMMA_270M
        | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "final_logit_softcapping": 30.0},
        LLAMA,
        LLAMA | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
        LLAMA | {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 5},
        LLAMA | {"model_type": "qwen3", "head_dim": 128, "attention_bias": True},
    ],
)
def test_what_is_written_reads_as_the_same(table: dict[str, Any]) -> None:
    config = config_from_json(table, "config.json")
    assert config_from_json(config_to_json(config, torch.bfloat16), "config.json") == config


REQUIRED = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(name: str) -> None:
    table = {key: value for key, value in LLAMA.items() if key != name}
    with pytest.raises(DamagedError, match=rf"there/config.json: {name} is missing"):
        config_from_json(table, "there/config.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "model_type is 'mamba'; this version runs gemma2, gemma3_text"),
        ({"hidden_size": "many"}, "hidden_size is 'many'"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"hidden_size": -4}, "hidden_size is -4"),
        ({"vocab_size": 10**18}, "vocab_size is 10{18}"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers is 10{12}"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_key_value_heads": 7}, "num_heads is 32; it must be a multiple of num_kv_heads"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"head_dim": 63}, "head_dim is 63; it must be even"),
        ({"head_dim": 0}, "head_dim is 0"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
        ({"rms_norm_eps": 0}, "norm_eps is 0"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps is 10+"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish'"),
        ({"rope_theta": 0.0}, "rope.theta is 0"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2}}, "rope_scaling: rope_type is 'yarn'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling: factor is missing"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, "rope.factor is 0"),
        ({"rope_scaling": [1]}, "rope_scaling is"),
        ({"rope_scaling": LLAMA["rope_scaling"] | {"low_freq_factor": 4.0}}, "low_freq_factor is 4"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5, which this version cannot run"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config is"),
        ({"eos_token_id": 999_999}, "special token id"),
        ({"eos_token_id": "</s>"}, "eos_token_id is '</s>'"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedError, match=message) as caught:
        config_from_json(LLAMA | changes, "there/config.json")
    assert str(caught.value).startswith("there/config.json: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is 0"),
        ({"sliding_window": 0}, "windows"),
        ({"sliding_window": 1 << 31}, "windows"),
        ({"layer_types": ["full_attention"]}, "layer_types must be 18 of"),
        ({"layer_types": ["linear_attention"] * 18}, "layer_types must be 18 of"),
        ({"_sliding_window_pattern": 0}, "sliding_window_pattern is 0"),
        ({"final_logit_softcapping": -1.0}, "logit_softcap is -1"),
        ({"final_logit_softcapping": 0.0}, "logit_softcap is 0"),
    ],
)
def test_a_wrong_field_of_gemma_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        config_from_json(GEMMA_270M | changes, str(Path("config.json")))
