"""Llama and the families of its shape: Qwen-2 adds a bias to q, k and v, Qwen-3 norms of the heads.

Touvron et al. 2023, arXiv:2302.13971, section 2.2; Qwen Team 2024, arXiv:2407.10671; 2025, arXiv:2505.09388.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import GatedMlp
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import SelfAttention
from potstill.models.config import DecoderConfig


class LlamaLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, D, eps = config.hidden_size, config.head_dim, config.norm_eps
        self.self_attn = SelfAttention(
            E,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=D,
            scale=config.query_scale,
            window=config.windows[layer],
            qkv_bias=config.qkv_bias,
            output_bias=config.output_bias,
            head_norms=(RMSNorm(D, eps), RMSNorm(D, eps)) if config.model_type == "qwen3" else None,
            layer=layer,
        )
        self.mlp = GatedMlp(E, config.intermediate_size, config.activation, config.mlp_bias)
        self.input_layernorm = RMSNorm(E, eps)
        self.post_attention_layernorm = RMSNorm(E, eps)

    def forward(self, x: Tensor, rotation: Rotation, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, attention)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out
