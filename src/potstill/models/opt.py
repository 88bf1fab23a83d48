"""OPT: learned positions after two unused rows, layer norms before each block, a plain feed-forward block.

Zhang et al. 2022, arXiv:2205.01068, section 2. OPT-350m, which normalises after each block and projects its
embeddings, is not among those that are run.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import ACTIVATIONS
from potstill.layers.norms import LayerNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import OutProjAttention
from potstill.models.config import DecoderConfig
from potstill.models.llama import heads_of
from potstill.models.parts import LayerParts, plain_parts, projection


class OptLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E = config.hidden_size
        self.self_attn = OutProjAttention(E, heads_of(config, layer), bias=config.qkv_bias)
        self.self_attn_layer_norm = LayerNorm(E, config.norm_eps)
        self.fc1 = nn.Linear(E, config.intermediate_size, bias=config.mlp_bias)
        self.fc2 = nn.Linear(config.intermediate_size, E, bias=config.mlp_bias)
        self.final_layer_norm = LayerNorm(E, config.norm_eps)
        self._activate = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), rotation, attention)
        out: Tensor = x + self.fc2(self._activate(self.fc1(self.final_layer_norm(x))))
        return out

    def parts(self) -> LayerParts:
        attn = self.self_attn
        qkv = (projection(attn.q_proj), projection(attn.k_proj), projection(attn.v_proj))
        return plain_parts(
            self.self_attn_layer_norm, qkv, attn.out_proj, self.final_layer_norm, self.fc1, self.fc2
        )
