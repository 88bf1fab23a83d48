"""The projections around attention."""

from typing import NamedTuple

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rotation, in_halves, rotate


class Heads(NamedTuple):
    """How the heads of one layer see each other.

    scale    > 0, multiplies q·k
    window   tokens a query sees, itself included; None is all before it
    softcap  bounds the scaled scores (Gemma 2); None leaves them
    """

    layer: int
    head_dim: int
    scale: float
    window: int | None = None
    softcap: float | None = None

    def split(self, x: Tensor) -> Tensor:
        """x [N, H * D] to [N, H, D]."""
        return x.view(x.shape[0], -1, self.head_dim)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, rotation: Rotation | None, attention: Attention
    ) -> Tensor:
        """q [N, H, D]; k, v [N, K, D], to be turned by the rotation, if there is one; returns [N, H * D]."""
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        seen = attention.attend(
            self.layer, q, k, v, scale=self.scale, window=self.window, softcap=self.softcap
        )
        return seen.reshape(len(seen), -1)


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions (Ainslie et al. 2023, arXiv:2305.13245).

    `head_norms` normalise each query and each key head before it is turned (Henry et al. 2020,
    arXiv:2010.04245).
    """

    def __init__(
        self,
        size: int,
        heads: Heads,
        *,
        num_heads: int,
        num_kv_heads: int,
        qkv_bias: bool,
        output_bias: bool,
        head_norms: tuple[RMSNorm, RMSNorm] | None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(size, num_heads * heads.head_dim, bias=qkv_bias)
        self.k_proj = nn.Linear(size, num_kv_heads * heads.head_dim, bias=qkv_bias)
        self.v_proj = nn.Linear(size, num_kv_heads * heads.head_dim, bias=qkv_bias)
        self.o_proj = nn.Linear(num_heads * heads.head_dim, size, bias=output_bias)
        self.q_norm: nn.Module
        self.k_norm: nn.Module
        self.q_norm, self.k_norm = head_norms or (nn.Identity(), nn.Identity())

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        q = self.q_norm(self.heads.split(self.q_proj(x)))  # [N, H, D]
        k = self.k_norm(self.heads.split(self.k_proj(x)))  # [N, K, D]
        v = self.heads.split(self.v_proj(x))
        out: Tensor = self.o_proj(self.heads.attend(q, k, v, rotation, attention))
        return out


class OutProjAttention(nn.Module):
    """Attention of as many key heads as query heads, its output projection called as in OPT and GPT-J.

    `turned_pairs` numbers of each head turn in neighbouring pairs; 0 where they turn in halves or not at all.
    """

    def __init__(self, size: int, heads: Heads, *, bias: bool, turned_pairs: int = 0) -> None:
        super().__init__()
        self.heads, self.turned_pairs = heads, turned_pairs
        self.q_proj = nn.Linear(size, size, bias=bias)
        self.k_proj = nn.Linear(size, size, bias=bias)
        self.v_proj = nn.Linear(size, size, bias=bias)
        self.out_proj = nn.Linear(size, size, bias=bias)

    def forward(self, x: Tensor, rotation: Rotation | None, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        q, k, v = (self.heads.split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if self.turned_pairs:
            q, k = in_halves(q, self.turned_pairs), in_halves(k, self.turned_pairs)
        out: Tensor = self.out_proj(self.heads.attend(q, k, v, rotation, attention))
        return out
