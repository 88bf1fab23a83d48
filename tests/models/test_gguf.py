"""A GGUF file, written by llama.cpp's conventions, loads as the folder it was made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from potstill.errors import DamagedError
from potstill.layers.attention import PackedAttention
from potstill.layers.rope import RopeSettings
from potstill.models.gguf_config import config_from_gguf
from potstill.models.gguf_weights import llama3_scaling
from potstill.models.hf_config import config_from_json, config_to_json
from potstill.models.load import load_decoder

GPT_NAMES = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "gpt_neox.embed_in": "token_embd",
    "gpt_neox.final_layer_norm": "output_norm",
    "transformer.h.": "blk.",
    "gpt_neox.layers.": "blk.",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA_NAMES = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
GGUF_NAMES = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "gemma2": GEMMA_NAMES,
    "gemma3": GEMMA_NAMES,
    "gpt2": GPT_NAMES,
    "gptneox": GPT_NAMES,
}
SHARED_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}


def gguf_name(architecture: str, name: str) -> str:
    for ours, theirs in (SHARED_NAMES | GGUF_NAMES.get(architecture, GGUF_NAMES["llama"])).items():
        name = name.replace(ours, theirs)
    return name


def interleaved(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """What llama.cpp's converter does to Llama's q and k (convert_hf_to_gguf.py, LlamaModel.permute)."""
    halves = weight.reshape(num_heads, 2, weight.shape[0] // num_heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def by_kind(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """What the converter does to GPT-NeoX's fused rows: all queries, then all keys, then all values."""
    heads = weight.reshape(num_heads, 3, -1, *weight.shape[1:])
    return np.concatenate([heads[:, part].reshape(-1, *weight.shape[1:]) for part in range(3)])


def stored_as(architecture: str, name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """A parameter of transformers as llama.cpp's converter keeps it."""
    if architecture.startswith("gemma") and "norm" in name:
        return weight + 1
    if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        return interleaved(weight, heads)
    if architecture == "gpt2" and weight.ndim == 2 and ".h." in name:
        return weight.T
    if architecture == "gptneox" and "query_key_value" in name:
        return by_kind(weight, config.num_attention_heads)
    return weight


def write_gguf(model: Any, path: Path, *, left_out: str = "", rope_factors: np.ndarray | None = None) -> None:
    config = model.config
    names = {"gemma3_text": "gemma3", "gpt_neox": "gptneox", "mistral": "llama"}
    architecture = names.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    if architecture.startswith("gpt"):
        write_gpt_fields(writer, config)
    else:
        write_llama_fields(writer, config, architecture)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    for name, parameter in model.named_parameters():
        if name == left_out:
            continue
        stored = stored_as(architecture, name, parameter.detach().numpy(), config)
        writer.add_tensor(gguf_name(architecture, name), np.ascontiguousarray(stored))
    if rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", rope_factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_gpt_fields(writer: gguf.GGUFWriter, config: Any) -> None:
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    head_dim = config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head_dim))
    writer.add_parallel_residual(config.use_parallel_residual)


def write_llama_fields(writer: gguf.GGUFWriter, config: Any, architecture: str) -> None:
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(getattr(config, "head_dim", config.hidden_size // config.num_attention_heads))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    parameters = config.rope_parameters
    writer.add_rope_freq_base(parameters.get("full_attention", parameters)["rope_theta"])
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


@pytest.mark.parametrize(
    "name",
    [
        "gemma2 published",
        "gemma3 published",
        "gpt2",
        "gpt_neox",
        "llama",
        "llama biases",
        "qwen2",
        "qwen3",
    ],
)
def test_a_gguf_file_loads_as_the_folder_does(
    saved_reference: Callable[[str], tuple[Any, Path]], name: str, tmp_path: Path
) -> None:
    model, folder = saved_reference(name)
    write_gguf(model, tmp_path / "model.gguf")
    expected = load_decoder(folder, dtype=torch.float32)
    got = load_decoder(tmp_path / "model.gguf", dtype=torch.float32)
    assert got.config == expected.config
    for (name_got, parameter), (name_expected, wanted) in zip(
        got.named_parameters(), expected.named_parameters(), strict=True
    ):
        assert name_got == name_expected
        torch.testing.assert_close(parameter, wanted, atol=1e-6, rtol=0)


def test_a_gguf_file_of_mistral_is_one_of_llama_with_equal_logits(
    saved_reference: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    model, _ = saved_reference("mistral without windows")
    write_gguf(model, tmp_path / "model.gguf")
    decoder = load_decoder(tmp_path / "model.gguf", dtype=torch.float32)
    token_ids = torch.arange(3, 20)
    with torch.inference_mode():
        got = decoder.logits(decoder(token_ids, PackedAttention([17])))
        torch.testing.assert_close(got, model(token_ids[None]).logits[0], atol=1e-4, rtol=0)


def test_llama3_scaling_is_recovered_from_its_factors(
    saved_reference: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    model, folder = saved_reference("llama published")
    expected = load_decoder(folder, dtype=torch.float32)
    plain = RopeSettings(expected.config.rope.theta).frequencies(16)
    factors = plain / expected.config.rope.frequencies(16)
    assert factors.max() > 2
    write_gguf(model, tmp_path / "model.gguf", rope_factors=factors.numpy())
    assert load_decoder(tmp_path / "model.gguf", dtype=torch.float32).config == expected.config


def test_factors_of_another_scaling_are_refused() -> None:
    with pytest.raises(DamagedError, match="rope_freqs.weight"):
        llama3_scaling(RopeSettings(1e4), torch.tensor([1.0, 3.0, 1.0, 8.0]), 8, "a.gguf")


def test_a_gguf_file_without_a_tensor_names_it(
    saved_reference: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    model, _ = saved_reference("llama")
    write_gguf(model, tmp_path / "model.gguf", left_out="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(DamagedError, match=r"lacks blk.1.ffn_up.weight. Fetch or convert it again"):
        load_decoder(tmp_path / "model.gguf", dtype=torch.float32)


GEMMA_1B = {
    "general.architecture": "gemma3",
    "gemma3.block_count": 26,
    "gemma3.context_length": 32768,
    "gemma3.embedding_length": 1152,
    "gemma3.feed_forward_length": 6912,
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.attention.layer_norm_rms_epsilon": float(np.float32(1e-6)),
    "gemma3.attention.sliding_window": 512,
    "gemma3.rope.freq_base": 1e6,
    "tokenizer.ggml.bos_token_id": 2,
}


def read(metadata: dict[str, Any]) -> Any:
    return config_from_gguf(metadata, vocab_size=262144, tied=True, biases=frozenset(), where="a.gguf")


def test_what_llama_cpp_leaves_unsaid_is_filled_in() -> None:
    config = read(GEMMA_1B)
    assert config.norm_eps == 1e-6
    assert config.windows[:7] == (512, 512, 512, 512, 512, None, 512)
    assert (config.rope.theta, config.rope_local.theta, config.query_scale) == (1e6, 1e4, 1 / 16)
    json = config_to_json(config, torch.bfloat16)
    assert config_from_json(json, "config.json") == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "rwkv7"}, "general.architecture is 'rwkv7'"),
        ({"general.architecture": None}, "general.architecture is missing"),
        ({"gemma3.block_count": None}, "gemma3: block_count is missing"),
        ({"gemma3.block_count": 2**40}, "block_count is 1099511627776"),
        ({"gemma3.embedding_length": [640]}, r"embedding_length is \[640\]"),
        ({"gemma3.attention.value_length": 128}, "attention.value_length differs"),
        ({"gemma3.attention.head_count_kv": 3}, "num_kv_heads"),
        ({"gemma3.rope.scaling.type": "yarn"}, "rope.scaling.type is 'yarn'"),
        ({"gemma3.expert_count": 8}, "expert_count is 8"),
        ({"gemma3.attention.sliding_window_pattern": 0}, "sliding_window_pattern is 0"),
    ],
)
def test_metadata_that_cannot_be_run_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        read({key: value for key, value in (GEMMA_1B | changes).items() if value is not None})


NEOX = {
    "general.architecture": "gptneox",
    "gptneox.block_count": 6,
    "gptneox.context_length": 2048,
    "gptneox.embedding_length": 512,
    "gptneox.feed_forward_length": 2048,
    "gptneox.attention.head_count": 8,
    "gptneox.attention.layer_norm_epsilon": float(np.float32(1e-5)),
    "gptneox.rope.dimension_count": 16,
    "gptneox.use_parallel_residual": True,
}
GEMMA_2_27B = {
    key.replace("gemma3", "gemma2"): value for key, value in GEMMA_1B.items() if key != "general.architecture"
} | {"general.architecture": "gemma2", "gemma2.block_count": 46, "gemma2.attention.sliding_window": 4096}


def test_what_llama_cpp_leaves_unsaid_of_gemma_2_is_filled_in() -> None:
    config = read(GEMMA_2_27B)
    assert config.windows == (4096, None) * 23
    assert (config.attention_softcap, config.logit_softcap) == (50.0, 30.0)
    assert config.query_scale == (1152 / 4) ** -0.5


def test_a_window_that_a_file_of_llama_names_holds_for_every_layer() -> None:
    llama = {key.replace("gemma3", "llama"): value for key, value in GEMMA_1B.items()}
    assert read(llama | {"general.architecture": "llama"}).windows == (512,) * 26


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gptneox.attention.head_count": 7}, "head_count is 7, which does not divide"),
        ({"gptneox.rope.dimension_count": 66}, "rotary_dim is 66"),
        ({"gptneox.rope.dimension_count": 3}, "rotary_dim is 3"),
        ({"gptneox.attention.layer_norm_epsilon": None}, "layer_norm_epsilon is missing"),
        ({"gptneox.attention.layer_norm_epsilon": 1e308}, "norm_eps is inf"),
        ({"gptneox.embedding_length": 2**40}, "embedding_length is 1099511627776"),
        ({"gptneox.context_length": 2**40}, "max_positions is"),
        ({"gptneox.use_parallel_residual": 2}, "use_parallel_residual is 2"),
        (
            {"general.architecture": "gptj"},
            "general.architecture is 'gptj'; this version runs gemma2, gemma3",
        ),
    ],
)
def test_metadata_of_a_gpt_that_cannot_be_run_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        read({key: value for key, value in (NEOX | changes).items() if value is not None})
