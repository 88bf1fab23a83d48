"""How packed tokens see each other.

N tokens of several sequences lie in one row; an `Attention` knows where each sequence lies and what was
cached of it, so no layer sees padding and the same modules train and decode.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from potstill.layers.padding import Places, by_length, pad, real_places, unpad

# Up to this length torch's fused kernel loses to plain products in bfloat16 on a CPU (five to one at 64
# tokens), since it does not use the processor's bfloat16 instructions; beyond it the scores take much memory.
_MAX_PLAIN_POSITIONS = 512


class Attention(Protocol):
    """Attention of N packed tokens over their own sequences."""

    @property
    def positions(self) -> Tensor:
        """[N] int64, of each token in its own sequence."""
        ...

    def attend(
        self,
        layer: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        scale: float,
        window: int | None,
        softcap: float | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """q [N, H, D]; k, v [N, K, D], rotated already; returns [N, H, D].

        window   tokens a query sees, itself included; None is all before it
        softcap  > 0; a scaled score becomes softcap * tanh(score / softcap) (Gemma 2)
        bias     [H, 2M - 1] with M at least the longest sequence: bias[h, M - 1 + key's position - query's]
                 is added to the scaled score (T5). Never together with softcap.
        """
        ...


class PackedAttention:
    """B whole sequences in a row, nothing seen across; differentiable once, the bias too.

    `causal`: a query sees what stands up to its own place; otherwise it sees its whole sequence, and a window
    is a mistake. Sequences of like length share one padded call. Padding stands at the right, its rows are
    left out of the result, and as keys no query sees them.
    """

    def __init__(
        self, lengths: Sequence[int], device: torch.device | str = "cpu", causal: bool = True
    ) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"every sequence needs at least one token, got lengths {list(lengths)[:8]}")
        self.positions = torch.cat([torch.arange(length) for length in lengths]).to(device)
        self._causal = causal
        self._places: Places | None = None
        groups = by_length(lengths)
        self._shapes = [(len(members), lengths[members[0]]) for members in groups]
        self._real_keys = [real_places([lengths[i] for i in members], device) for members in groups]
        if len(lengths) > 1:
            self._places = Places.of(groups, lengths, device)

    def attend(
        self,
        layer: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        scale: float,
        window: int | None,
        softcap: float | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        assert self._causal or window is None, "a window over sequences that are seen whole"
        if self._places is not None:
            q, k, v = (pad(x, self._places) for x in (q, k, v))
        outputs = []
        row = 0
        for (B, T), real_keys in zip(self._shapes, self._real_keys, strict=True):
            batch = [x[row : row + B * T].reshape(B, T, *x.shape[1:]) for x in (q, k, v)]
            scoring = _Scoring(scale, softcap, bias, self._causal, window, real_keys)
            outputs.append(_attend_batch(batch[0], batch[1], batch[2], scoring).flatten(0, 1))
            row += B * T
        return outputs[0] if self._places is None else unpad(torch.cat(outputs), self._places)


class _Scoring(NamedTuple):
    """What makes scores of products, as in `Attention.attend`; real_keys [B, T], None is all."""

    scale: float
    softcap: float | None
    bias: Tensor | None
    causal: bool
    window: int | None
    real_keys: Tensor | None

    def visible(self, T: int, device: torch.device) -> Tensor | None:
        """Which keys a query sees, [T, T] or [B, 1, 1, T]; None is all."""
        if self.causal:
            return _causally_visible(T, self.window, device)
        return None if self.real_keys is None else self.real_keys[:, None, None]

    def added(self, T: int, like: Tensor) -> Tensor | None:
        """What is added to scores, in the type of `like`: the bias, and -inf for what is not visible."""
        visible = self.visible(T, like.device)
        if self.bias is not None:
            added = bias_of_places(self.bias, T).to(like.dtype)[None]  # [1, H, T, T]
            return added if visible is None else added.masked_fill(~visible, -torch.inf)
        if visible is None:
            return None
        return torch.zeros_like(visible, dtype=like.dtype).masked_fill_(~visible, -torch.inf)


def _attend_batch(q: Tensor, k: Tensor, v: Tensor, scoring: _Scoring) -> Tensor:
    """q [B, T, H, D]; k, v [B, T, K, D]; returns [B, T, H, D]."""
    T, window = q.shape[1], scoring.window
    assert scoring.softcap is None or scoring.bias is None, "softcap and bias together"
    in_slow_type = q.dtype == torch.bfloat16 and q.device.type == "cpu" and T <= _MAX_PLAIN_POSITIONS
    if in_slow_type or scoring.softcap is not None:
        return _attend_plainly(q * scoring.scale, k, v, scoring.added(T, q), scoring.softcap)
    is_plainly_causal = scoring.causal and scoring.bias is None and (window is None or window >= T)
    mask = None
    if not is_plainly_causal:
        mask = scoring.visible(T, q.device) if scoring.bias is None else scoring.added(T, q)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # [B, H or K, T, D]
    out = F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        is_causal=is_plainly_causal,
        scale=scoring.scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out.transpose(1, 2)


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, softcap: float | None) -> Tensor:
    """The same as two batched products: the queries of heads that share keys stand in one long row.

    q [B, T, H, D], scaled; added [T, T] or [B or 1, H or 1, T or 1, T].
    """
    B, T, H, D = q.shape
    K = k.shape[2]
    G = H // K
    q = q.view(B, T, K, G, D).permute(0, 2, 3, 1, 4).reshape(B * K, G * T, D)
    k, v = (x.transpose(1, 2).reshape(B * K, T, D) for x in (k, v))
    if added is None:
        added = q.new_zeros(1, 1, 1)
    elif added.dim() == 2:
        added = added.repeat(G, 1)
    else:
        added = added.expand(B, H, T, T).reshape(B * K, G * T, T)
    if softcap is None:
        scores = torch.baddbmm(added, q, k.mT)  # [B * K, G * T, T]
    else:
        scores = softcap * torch.tanh(torch.bmm(q, k.mT) / softcap) + added
    return (scores.softmax(-1) @ v).view(B, K, G, T, D).permute(0, 3, 1, 2, 4).reshape(B, T, H, D)


def bias_of_places(bias: Tensor, T: int) -> Tensor:
    """The bias [H, 2M - 1] by distance as one by place, [H, T, T] of T queries and T keys; T <= M."""
    M = (bias.shape[1] + 1) // 2
    assert T <= M, f"a bias for {M} positions, a sequence of {T}"
    # Windows of the distances, the last query's first; unlike a gather its gradient costs no scattering.
    return bias[:, M - T : M + T - 1].unfold(1, T, 1).flip(1)


def _causally_visible(T: int, window: int | None, device: torch.device) -> Tensor:
    """Which keys a query sees, [T, T]."""
    places = torch.arange(T, device=device)
    distance = places[:, None] - places
    return (distance >= 0) & (distance < (T if window is None else window))
