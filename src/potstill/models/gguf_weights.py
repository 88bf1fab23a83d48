"""Where a GGUF file keeps each of our parameters, and in which shape it keeps them.

Two conventions of llama.cpp's converter are undone here (convert_hf_to_gguf.py): Gemma's norms are stored
with one added, and the rows of Llama's query and key projections are interleaved for its kind of rotation.
"""

import re

import torch
from torch import Tensor

from potstill.errors import DamagedError
from potstill.layers.rope import Llama3Scaling, RopeSettings
from potstill.models.config import DecoderConfig

ROPE_FACTORS = "rope_freqs.weight"

_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_BLOCK = {
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
# The norm before the feed-forward block has one name in Llama's files and another in Gemma's.
_NORMS = {
    "gemma3_text": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }
}
_LLAMA_NORMS = {"post_attention_layernorm": "ffn_norm"}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")


def gguf_name(config: DecoderConfig, name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` to `blk.3.ffn_up.weight`."""
    if name in _TOP:
        return _TOP[name]
    match = _LAYER.fullmatch(name)
    assert match is not None, name
    layer, part, kind = match.groups()
    norms = _NORMS.get(config.model_type, _LLAMA_NORMS)
    return f"blk.{layer}.{norms.get(part) or _BLOCK[part]}.{kind}"


def from_gguf(config: DecoderConfig, name: str, stored: Tensor) -> Tensor:
    """The parameter `name` as Hugging Face keeps it."""
    if config.model_type == "gemma3_text" and "norm" in name.split(".")[-2]:
        return stored - 1
    if config.model_type == "llama" and ".q_proj." in name:
        return _halves_from_pairs(stored, config.num_heads)
    if config.model_type == "llama" and ".k_proj." in name:
        return _halves_from_pairs(stored, config.num_kv_heads)
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
