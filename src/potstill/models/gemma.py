"""Gemma 2 and 3 (text): norms before and after each block, windows on some layers.

Gemma 2 caps scores and logits (Gemma Team 2024, arXiv:2408.00118, section 2), Gemma 3 normalises heads
instead (2025, arXiv:2503.19786, section 2).
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import GatedMlp
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation
from potstill.models.config import DecoderConfig
from potstill.models.llama import grouped_attention
from potstill.models.parts import LayerParts, gated_parts


class GemmaLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, eps, offset = config.hidden_size, config.norm_eps, config.family.norm_offset
        self.self_attn = grouped_attention(config, layer)
        self.mlp = GatedMlp(E, config.intermediate_size, config.activation)
        self.input_layernorm = RMSNorm(E, eps, offset)
        self.post_attention_layernorm = RMSNorm(E, eps, offset)
        self.pre_feedforward_layernorm = RMSNorm(E, eps, offset)
        self.post_feedforward_layernorm = RMSNorm(E, eps, offset)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        attended = self.self_attn(self.input_layernorm(x), rotation, attention)
        x = x + self.post_attention_layernorm(attended)
        transformed = self.mlp(self.pre_feedforward_layernorm(x))
        out: Tensor = x + self.post_feedforward_layernorm(transformed)
        return out

    def parts(self) -> LayerParts:
        return gated_parts(
            self.self_attn,
            self.mlp,
            self.input_layernorm,
            after_attention=self.post_attention_layernorm,
            mlp_norm=self.pre_feedforward_layernorm,
            after_mlp=self.post_feedforward_layernorm,
        )
