"""How packed tokens see each other.

N tokens of several sequences lie in one row; an `Attention` knows where each sequence lies and what was
cached of it, so no layer sees padding and the same modules train and decode.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

# A group may hold this share of padding before a new one starts: at 20 to 80 tokens a sequence a padded
# row costs less than one more call of the kernel.
_MAX_PADDING = 0.2


class Attention(Protocol):
    """Causal attention of N packed tokens over their own sequences."""

    @property
    def positions(self) -> Tensor:
        """[N] int64, of each token in its own sequence."""
        ...

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """q [N, H, D]; k, v [N, K, D], rotated already; returns [N, H, D].

        window: tokens a query sees, itself included; None is all before it.
        """
        ...


class PackedAttention:
    """B whole sequences in a row: causal inside each, nothing across; differentiable.

    Sequences of like length share one padded call of the fused kernel. Padding stands at the right, where
    no causal query sees it, and its rows are left out of the result.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"every sequence needs at least one token, got lengths {list(lengths)[:8]}")
        starts = [0, *accumulate(lengths)][:-1]
        self.positions = torch.cat([torch.arange(length) for length in lengths]).to(device)
        self._groups, self._order = _make_groups(starts, lengths, device)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        N, H, D = q.shape
        if self._order is None:
            return _attend_batch(q[None], k[None], v[None], scale, window)[0]
        outputs = []
        for indices in self._groups:
            B, T = indices.shape
            flat = indices.view(-1)
            rows = [x.index_select(0, flat).view(B, T, -1, D) for x in (q, k, v)]
            outputs.append(_attend_batch(rows[0], rows[1], rows[2], scale, window).reshape(B * T, H, D))
        return torch.cat(outputs).index_select(0, self._order)  # [N, H, D]


def _make_groups(
    starts: Sequence[int], lengths: Sequence[int], device: torch.device | str
) -> tuple[list[Tensor], Tensor | None]:
    """The padded batches, and where each of N tokens lies in their concatenation; None for one sequence."""
    if len(lengths) == 1:
        return [], None
    groups = []
    order = torch.empty(sum(lengths), dtype=torch.int64)
    num_rows = 0
    for members in _by_length(lengths):
        T = max(lengths[i] for i in members)
        first = torch.tensor([starts[i] for i in members])[:, None]
        length = torch.tensor([lengths[i] for i in members])[:, None]
        offsets = torch.arange(T)[None]
        # A padded place repeats the last token of its sequence: a valid index whose result nobody reads.
        indices = first + torch.minimum(offsets, length - 1)  # [B, T]
        places = num_rows + torch.arange(indices.numel()).view_as(indices)
        real = offsets < length
        order[indices[real]] = places[real]
        num_rows += indices.numel()
        groups.append(indices.to(device))
    return groups, order.to(device)


def _by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Sequence numbers in groups, longest first, each with at most `_MAX_PADDING` of its places padded."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    groups: list[list[int]] = []
    num_real = 0
    for i in order:
        if groups:
            num_places = lengths[groups[-1][0]] * (len(groups[-1]) + 1)
            if num_real + lengths[i] >= (1 - _MAX_PADDING) * num_places:
                groups[-1].append(i)
                num_real += lengths[i]
                continue
        groups.append([i])
        num_real = lengths[i]
    return groups


def _attend_batch(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """q [B, T, H, D]; k, v [B, T, K, D]; causal, within the window; returns [B, T, H, D]."""
    B, T, H, D = q.shape
    K = k.shape[2]
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # [B, H or K, T, D]
    visible = None
    if window is not None and window < T:
        places = torch.arange(T, device=q.device)
        distance = places[:, None] - places
        visible = (distance >= 0) & (distance < window)  # [T, T]
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=visible, is_causal=visible is None, scale=scale, enable_gqa=H != K
    )
    return out.transpose(1, 2)
