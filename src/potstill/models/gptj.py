"""GPT-J: attention and feed-forward side by side on one norm; heads turn in neighbouring pairs.

Wang and Komatsuzaki 2021, github.com/kingoflolz/mesh-transformer-jax.
"""

import torch
from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import ACTIVATIONS, Activation
from potstill.layers.norms import LayerNorm
from potstill.layers.rope import Rotation, in_halves
from potstill.layers.self_attention import OutProjAttention
from potstill.models.config import DecoderConfig
from potstill.models.llama import heads_of
from potstill.models.parts import LayerParts, plain_parts, projection


class GptjMlp(nn.Module):
    def __init__(self, size: int, inner_size: int, activation: Activation) -> None:
        super().__init__()
        self.fc_in = nn.Linear(size, inner_size)
        self.fc_out = nn.Linear(inner_size, size)
        self._activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc_out(self._activate(self.fc_in(x)))
        return out


class GptjLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E = config.hidden_size
        self.ln_1 = LayerNorm(E, config.norm_eps)
        self.attn = OutProjAttention(E, heads_of(config, layer), bias=False, turned_pairs=config.rotary_dim)
        self.mlp = GptjMlp(E, config.intermediate_size, config.activation)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        normalised = self.ln_1(x)
        out: Tensor = x + self.attn(normalised, rotation, attention) + self.mlp(normalised)
        return out

    def parts(self) -> LayerParts:
        q, k, v = (projection(layer) for layer in (self.attn.q_proj, self.attn.k_proj, self.attn.v_proj))
        rows = torch.arange(len(q.weight)).view(-1, self.attn.heads.head_dim)
        order = in_halves(rows, self.attn.turned_pairs).reshape(-1)
        return plain_parts(
            self.ln_1,
            (q.rows(order), k.rows(order), v),
            self.attn.out_proj,
            None,
            self.mlp.fc_in,
            self.mlp.fc_out,
        )
