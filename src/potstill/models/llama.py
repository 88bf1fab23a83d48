"""Llama and the families of its shape.

Mistral has a window on every layer, Qwen-2 a bias on q, k and v, Qwen-3 norms of the heads.

Touvron et al. 2023, arXiv:2302.13971, section 2.2; Jiang et al. 2023, arXiv:2310.06825; Qwen Team 2024,
arXiv:2407.10671; 2025, arXiv:2505.09388.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import GatedMlp
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import Heads, SelfAttention
from potstill.models.config import DecoderConfig
from potstill.models.parts import LayerParts, gated_parts


class LlamaLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, eps = config.hidden_size, config.norm_eps
        self.self_attn = grouped_attention(config, layer)
        self.mlp = GatedMlp(E, config.intermediate_size, config.activation, config.mlp_bias)
        self.input_layernorm = RMSNorm(E, eps)
        self.post_attention_layernorm = RMSNorm(E, eps)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, attention)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out

    def parts(self) -> LayerParts:
        return gated_parts(
            self.self_attn, self.mlp, self.input_layernorm, mlp_norm=self.post_attention_layernorm
        )


def heads_of(config: DecoderConfig, layer: int) -> Heads:
    return Heads(layer, config.head_dim, config.query_scale, config.windows[layer], config.attention_softcap)


def grouped_attention(config: DecoderConfig, layer: int) -> SelfAttention:
    D, eps, offset = config.head_dim, config.norm_eps, config.family.norm_offset
    return SelfAttention(
        config.hidden_size,
        heads_of(config, layer),
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        qkv_bias=config.qkv_bias,
        output_bias=config.output_bias,
        head_norms=(RMSNorm(D, eps, offset), RMSNorm(D, eps, offset)) if config.family.head_norms else None,
    )
