"""Attention over blocks by torch's own fused kernels: for devices that our kernel does not run on.

Sequences with as many new tokens, or nearly, share one call: all that decode are one. Which positions a call
reads is worked out once a step, not once a layer.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from potstill.layers.padding import Places, by_length
from potstill.layers.relative_bias import bias_of_distances

if TYPE_CHECKING:
    from potstill.layers.kv_cache import PagedRows


class PagedSdpa:
    """What `attend_plain` gives, for all layers of a step, on any device."""

    def __init__(self, rows: "PagedRows", block_size: int) -> None:
        # The one place where a device is waited for.
        num_new, num_cached = rows.starts.diff().tolist(), rows.num_cached.tolist()
        groups = by_length(num_new)
        self._places = Places.of(groups, num_new, rows.positions.device)
        positions = rows.positions[self._places.token_of_row]
        self._groups = []
        row = 0
        for members in groups:
            num_rows = len(members) * num_new[members[0]]
            lengths = [num_cached[i] + num_new[i] for i in members]
            self._groups.append(
                _Group(
                    at=positions[row : row + num_rows].view(len(members), -1),
                    slots=_slots(rows.block_tables[members].long(), lengths, block_size),
                    is_whole=not any(num_cached[i] for i in members),
                )
            )
            row += num_rows

    def attend(
        self,
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        scale: float,
        window: int | None,
        softcap: float | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """q [N, H, D]; keys, values [num_blocks, block_size, K, D]; returns [N, H, D] in q's type."""
        common = torch.promote_types(q.dtype, keys.dtype)
        padded = q.index_select(0, self._places.token_of_row).to(common)
        outputs = []
        row = 0
        for group in self._groups:
            B, T = group.at.shape
            queries = padded[row : row + B * T].view(B, T, *q.shape[1:])
            k, v = (x.flatten(0, 1)[group.slots].to(common) for x in (keys, values))  # [B, S, K, D]
            if softcap is None:
                seen = group.attend(queries, k, v, scale, window, bias)
            else:
                seen = group.attend_capped(queries, k, v, scale, window, bias, softcap)
            outputs.append(seen.flatten(0, 1))
            row += B * T
        return torch.cat(outputs).index_select(0, self._places.row_of_token).to(q.dtype)


class _Group:
    """B sequences with T new tokens at most: at [B, T], where these stand; slots [B, S], of the positions
    that they may see; `is_whole` where nothing was cached before."""

    def __init__(self, at: Tensor, slots: Tensor, is_whole: bool) -> None:
        self.at, self.slots, self._is_whole = at, slots, is_whole
        self._visible: dict[int | None, Tensor] = {}

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, bias: Tensor | None
    ) -> Tensor:
        """q [B, T, H, D]; k, v [B, S, K, D]; returns [B, T, H, D]."""
        B, T, H, D = q.shape
        S, K = k.shape[1:3]
        is_causal = self._is_whole and bias is None and (window is None or window >= S)
        mask = None if is_causal else self._mask(window, bias, q.dtype)  # [B, 1 or H, T, S]
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if T == 1:
            # Heads that share keys stand as if they were queries of one head: every kernel takes that.
            heads = q.view(B, K, H // K, D)
            if mask is not None and mask.shape[1] == H:
                mask = mask.view(B, K, H // K, S)
            return F.scaled_dot_product_attention(heads, k, v, attn_mask=mask, scale=scale).view(B, T, H, D)
        seen = F.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, attn_mask=mask, is_causal=is_causal, scale=scale, enable_gqa=H != K
        )
        return seen.transpose(1, 2)

    def attend_capped(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scale: float,
        window: int | None,
        bias: Tensor | None,
        softcap: float,
    ) -> Tensor:
        """The same with capped scores, which the fused kernels do not know, in float32."""
        B, T, H, D = q.shape
        K = k.shape[2]
        heads = q.float().view(B, T, K, H // K, D)
        scores = torch.einsum("btkgd,bskd->bkgts", heads, k.float()) * scale
        if bias is not None:
            scores = scores + self._bias(bias).view(scores.shape)
        scores = softcap * torch.tanh(scores / softcap)
        probs = scores.masked_fill(~self.visible(window)[:, None, None], -torch.inf).softmax(-1)
        return torch.einsum("bkgts,bskd->btkgd", probs, v.float()).reshape(B, T, H, D).to(q.dtype)

    def visible(self, window: int | None) -> Tensor:
        """Which positions a token sees, [B, T, S]."""
        if window not in self._visible:
            distances = self._distances()
            visible = distances <= 0
            self._visible[window] = visible if window is None else visible & (distances > -window)
        return self._visible[window]

    def _mask(self, window: int | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        visible = self.visible(window)[:, None]
        if bias is None:
            return visible
        return self._bias(bias).masked_fill(~visible, -torch.inf).to(dtype)

    def _bias(self, bias: Tensor) -> Tensor:
        return bias_of_distances(bias, self._distances()).transpose(0, 1)  # [B, H, T, S]

    def _distances(self) -> Tensor:
        """From each new token to each position, [B, T, S]."""
        return torch.arange(self.slots.shape[1], device=self.at.device) - self.at[..., None]


def _slots(tables: Tensor, lengths: list[int], block_size: int) -> Tensor:
    """[B, S] of the positions of sequences of these lengths. Past its end a sequence's last one is repeated,
    since what lies in slots that nobody wrote may be no number, which no mask hides."""
    last = torch.tensor(lengths, device=tables.device)[:, None] - 1
    positions = torch.minimum(torch.arange(max(lengths), device=tables.device), last)
    return tables.gather(1, positions // block_size) * block_size + positions % block_size
