"""GPT-NeoX and Pythia: a share of each head turns; attention and feed-forward may stand side by side.

Black et al. 2022, arXiv:2204.06745, section 2.1; Biderman et al. 2023, arXiv:2304.01373.
"""

import torch
from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import ACTIVATIONS, Activation
from potstill.layers.norms import LayerNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import Heads
from potstill.models.config import DecoderConfig
from potstill.models.llama import heads_of
from potstill.models.parts import LayerParts, plain_parts, projection


class NeoxAttention(nn.Module):
    """The rows of `query_key_value` are head by head: its query, its key, its value."""

    def __init__(self, size: int, heads: Heads, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(size, 3 * size, bias=bias)
        self.dense = nn.Linear(size, size, bias=bias)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        fused = self.query_key_value(x).view(len(x), -1, 3, self.heads.head_dim)  # [N, H, 3, D]
        q, k, v = fused.unbind(2)
        out: Tensor = self.dense(self.heads.attend(q, k, v, rotation, attention))
        return out


class NeoxMlp(nn.Module):
    def __init__(self, size: int, inner_size: int, activation: Activation) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(size, inner_size)
        self.dense_4h_to_h = nn.Linear(inner_size, size)
        self._activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense_4h_to_h(self._activate(self.dense_h_to_4h(x)))
        return out


class NeoxLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, eps = config.hidden_size, config.norm_eps
        self.is_parallel = config.parallel_residual
        self.input_layernorm = LayerNorm(E, eps)
        self.post_attention_layernorm = LayerNorm(E, eps)
        self.attention = NeoxAttention(E, heads_of(config, layer), config.qkv_bias)
        self.mlp = NeoxMlp(E, config.intermediate_size, config.activation)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        attended = x + self.attention(self.input_layernorm(x), rotation, attention)
        seen = x if self.is_parallel else attended
        out: Tensor = attended + self.mlp(self.post_attention_layernorm(seen))
        return out

    def parts(self) -> LayerParts:
        fused = projection(self.attention.query_key_value)
        rows = torch.arange(len(fused.weight)).view(-1, 3, self.attention.heads.head_dim)
        q, k, v = (fused.rows(rows[:, part].reshape(-1)) for part in range(3))
        return plain_parts(
            self.input_layernorm,
            (q, k, v),
            self.attention.dense,
            self.post_attention_layernorm,
            self.mlp.dense_h_to_4h,
            self.mlp.dense_4h_to_h,
        )
