"""Gemma 3 (text): norms before and after each block, head norms, windows on five layers of six.

Gemma Team 2025, arXiv:2503.19786, section 2.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import GatedMlp
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import SelfAttention
from potstill.models.config import DecoderConfig


class Gemma3Layer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, eps = config.hidden_size, config.norm_eps
        self.self_attn = SelfAttention(
            E,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            scale=config.query_scale,
            window=config.windows[layer],
            qkv_bias=config.qkv_bias,
            output_bias=config.output_bias,
            head_norms=(RMSNorm(config.head_dim, eps, offset=1), RMSNorm(config.head_dim, eps, offset=1)),
            layer=layer,
        )
        self.mlp = GatedMlp(E, config.intermediate_size, config.activation)
        self.input_layernorm = RMSNorm(E, eps, offset=1)
        self.post_attention_layernorm = RMSNorm(E, eps, offset=1)
        self.pre_feedforward_layernorm = RMSNorm(E, eps, offset=1)
        self.post_feedforward_layernorm = RMSNorm(E, eps, offset=1)

    def forward(self, x: Tensor, rotation: Rotation, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        attended = self.self_attn(self.input_layernorm(x), rotation, attention)
        x = x + self.post_attention_layernorm(attended)
        transformed = self.mlp(self.pre_feedforward_layernorm(x))
        out: Tensor = x + self.post_feedforward_layernorm(transformed)
        return out
