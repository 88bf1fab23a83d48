"""The projections around attention."""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation, rotate


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions (Ainslie et al. 2023, arXiv:2305.13245).

    `head_norms` normalise each query and each key head before it is turned (Henry et al. 2020,
    arXiv:2010.04245). `window` counts the tokens a query sees, itself included; None is all before it.
    """

    def __init__(
        self,
        size: int,
        *,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        scale: float,
        window: int | None,
        qkv_bias: bool,
        output_bias: bool,
        head_norms: tuple[RMSNorm, RMSNorm] | None,
        layer: int,
    ) -> None:
        super().__init__()
        self.head_dim, self.scale, self.window, self.layer = head_dim, scale, window, layer
        self.q_proj = nn.Linear(size, num_heads * head_dim, bias=qkv_bias)
        self.k_proj = nn.Linear(size, num_kv_heads * head_dim, bias=qkv_bias)
        self.v_proj = nn.Linear(size, num_kv_heads * head_dim, bias=qkv_bias)
        self.o_proj = nn.Linear(num_heads * head_dim, size, bias=output_bias)
        self.q_norm: nn.Module
        self.k_norm: nn.Module
        self.q_norm, self.k_norm = head_norms or (nn.Identity(), nn.Identity())

    def forward(self, x: Tensor, rotation: Rotation, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        N, D = x.shape[0], self.head_dim
        q = self.q_norm(self.q_proj(x).view(N, -1, D))  # [N, H, D]
        k = self.k_norm(self.k_proj(x).view(N, -1, D))  # [N, K, D]
        v = self.v_proj(x).view(N, -1, D)
        q, k = rotate(q, rotation), rotate(k, rotation)
        seen = attention.attend(self.layer, q, k, v, scale=self.scale, window=self.window)  # [N, H, D]
        out: Tensor = self.o_proj(seen.reshape(N, -1))
        return out
