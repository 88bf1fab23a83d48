"""Where a GGUF file keeps each of our parameters, and in which shape it keeps them.

The conventions of llama.cpp's converter are undone here (convert_hf_to_gguf.py): Gemma's norms are stored
with one added, the rows of Llama's query and key projections are interleaved for its kind of rotation, those
of GPT-NeoX's fused projection are sorted into queries, keys and values, and GPT-2's matrices lie [out, in].
"""

import re

import torch
from torch import Tensor

from potstill.errors import DamagedError
from potstill.layers.rope import Llama3Scaling, RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.family import ModelType

ROPE_FACTORS = "rope_freqs.weight"

_TOP = {
    "embed_tokens": "token_embd",
    "wte": "token_embd",
    "embed_in": "token_embd",
    "wpe": "position_embd",
    "norm": "output_norm",
    "ln_f": "output_norm",
    "final_layer_norm": "output_norm",
    "lm_head": "output",
}
_LLAMA = {
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
    "post_attention_layernorm": "ffn_norm",
}
# The norm before the feed-forward block has one name in Llama's files and another in Gemma's.
_GEMMA = _LLAMA | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_BLOCKS: dict[ModelType, dict[str, str]] = {
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "gpt2": {
        "ln_1": "attn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    },
    "gpt_neox": {
        "input_layernorm": "attn_norm",
        "attention.query_key_value": "attn_qkv",
        "attention.dense": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down",
    },
}
_LAYER = re.compile(r"[a-z_]+\.(?:layers|h)\.(\d+)\.(.+)\.(weight|bias)")
_GPT2_MATRICES = ("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight")


def gguf_name(config: DecoderConfig, name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` to `blk.3.ffn_up.weight`."""
    match = _LAYER.fullmatch(name)
    if match is None:
        path, _, kind = name.rpartition(".")
        return f"{_TOP[path.rpartition('.')[2]]}.{kind}"
    layer, part, kind = match.groups()
    return f"blk.{layer}.{_BLOCKS.get(config.model_type, _LLAMA)[part]}.{kind}"


def is_transposed(config: DecoderConfig, stored_name: str) -> bool:
    """Whether a tensor of the file lies the other way round than our parameter."""
    return config.model_type == "gpt2" and stored_name.endswith(_GPT2_MATRICES)


def from_gguf(config: DecoderConfig, name: str, stored: Tensor) -> Tensor:
    """The parameter `name` as Hugging Face keeps it."""
    if config.family.norm_offset and "norm" in name.split(".")[-2]:
        return stored - config.family.norm_offset
    if config.model_type == "llama" and ".q_proj." in name:
        return _halves_from_pairs(stored, config.num_heads)
    if config.model_type == "llama" and ".k_proj." in name:
        return _halves_from_pairs(stored, config.num_kv_heads)
    if config.model_type == "gpt_neox" and ".query_key_value." in name:
        parts = stored.view(3, config.num_heads, config.head_dim, *stored.shape[1:])
        return parts.transpose(0, 1).reshape(stored.shape)
    return stored


def llama3_scaling(rope: RopeSettings, factors: Tensor, head_dim: int, where: str) -> RopeSettings:
    """The Llama 3 scaling that gives `factors` [D / 2], by which the file divides each frequency.

    The file keeps the result and not the settings; every published model has 1, 4 and 8,192 positions.
    """
    settings = RopeSettings(rope.theta, Llama3Scaling(float(factors.max()), 1.0, 4.0, 8192))
    plain = RopeSettings(rope.theta).frequencies(head_dim)
    if factors.shape != plain.shape or not torch.allclose(
        settings.frequencies(head_dim), plain / factors, rtol=1e-3, atol=0
    ):
        raise DamagedError(f"{where}: {ROPE_FACTORS} holds a rotary scaling that this version cannot run.")
    return settings


def _halves_from_pairs(stored: Tensor, num_heads: int) -> Tensor:
    """Rows 0, 1, 2, 3, … of each head to 0, 2, 4, … and then 1, 3, 5, …."""
    pairs = stored.view(num_heads, -1, 2, *stored.shape[1:])
    return pairs.transpose(1, 2).reshape(stored.shape)
