"""GPT-2: learned positions, layer norms, one projection for q, k and v, weights stored [in, out].

Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.mlp import ACTIVATIONS, Activation
from potstill.layers.norms import LayerNorm
from potstill.layers.rope import Rotation
from potstill.layers.self_attention import Heads
from potstill.layers.transposed_linear import TransposedLinear
from potstill.models.config import DecoderConfig
from potstill.models.llama import heads_of
from potstill.models.parts import LayerParts, plain_parts, projection


class Gpt2Attention(nn.Module):
    def __init__(self, size: int, heads: Heads) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = TransposedLinear(size, 3 * size)
        self.c_proj = TransposedLinear(size, size)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        q, k, v = (self.heads.split(part) for part in self.c_attn(x).chunk(3, dim=-1))  # [N, H, D] each
        out: Tensor = self.c_proj(self.heads.attend(q, k, v, rotation, attention))
        return out


class Gpt2Mlp(nn.Module):
    def __init__(self, size: int, inner_size: int, activation: Activation) -> None:
        super().__init__()
        self.c_fc = TransposedLinear(size, inner_size)
        self.c_proj = TransposedLinear(inner_size, size)
        self._activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(self._activate(self.c_fc(x)))
        return out


class Gpt2Layer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        E, eps = config.hidden_size, config.norm_eps
        self.ln_1 = LayerNorm(E, eps)
        self.attn = Gpt2Attention(E, heads_of(config, layer))
        self.ln_2 = LayerNorm(E, eps)
        self.mlp = Gpt2Mlp(E, config.intermediate_size, config.activation)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        x = x + self.attn(self.ln_1(x), rotation, attention)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out

    def parts(self) -> LayerParts:
        q, k, v = projection(self.attn.c_attn).split(3)
        return plain_parts(self.ln_1, (q, k, v), self.attn.c_proj, self.ln_2, self.mlp.c_fc, self.mlp.c_proj)
