"""Keys and values kept in blocks, and attention over them.

Which block belongs to whom is decided elsewhere: here a block table is given and trusted to be nobody else's
to write. Blocks that sequences share are read by all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch  # before the kernels, so that both share one pool of threads
from numpy.typing import NDArray
from torch import Tensor

from potstill import _native
from potstill.layers.paged_sdpa import PagedSdpa
from potstill.layers.relative_bias import bias_of_distances


class PagedKVCache:
    """Room for `num_blocks` blocks of `block_size` positions in each of L layers; keys, values
    [L, num_blocks, block_size, K, D]."""

    def __init__(
        self,
        num_layers: int,
        num_blocks: int,
        block_size: int,
        num_kv_heads: int,
        head_size: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (num_layers, num_blocks, block_size, num_kv_heads, head_size)
        # Not cleared: nobody reads a position that no row has written, and the system gives a page only when
        # something is put there, so a large cache costs what is used of it.
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)

    @property
    def num_blocks(self) -> int:
        return self.keys.shape[1]

    @property
    def block_size(self) -> int:
        return self.keys.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        return self.keys.dtype

    @property
    def device(self) -> torch.device:
        return self.keys.device

    @property
    def bytes_per_block(self) -> int:
        """Keys and values of all layers."""
        return 2 * self.keys[:, 0].numel() * self.keys.element_size()

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy blocks (source, target) in all layers; every source is read before any target is written."""
        if not pairs:
            return
        sources, targets = torch.tensor(pairs, device=self.device).unbind(1)
        for blocks in (self.keys, self.values):
            blocks[:, targets] = blocks[:, sources]


@dataclass(frozen=True)
class PagedRows:
    """Where the new tokens of B sequences stand, as tensors on the cache's device.

    block_tables [B, max blocks] int32, padded with 0; starts [B + 1] int32, of each sequence's new tokens
    among the N packed ones; num_cached [B] int32; positions [N] int64; slots [N] int64 into blocks in a row.
    """

    block_tables: Tensor
    starts: Tensor
    num_cached: Tensor
    positions: Tensor
    slots: Tensor

    @classmethod
    def of(
        cls,
        block_tables: Sequence[Sequence[int]],
        num_cached: Sequence[int],
        num_new: Sequence[int],
        cache: PagedKVCache,
    ) -> "PagedRows":
        _check_rows(block_tables, num_cached, num_new, cache)
        # In NumPy: each of torch's operations would wake its threads for some numbers.
        new = np.array(num_new, dtype=np.int64)  # [B]
        cached = np.array(num_cached, dtype=np.int64)
        ends = new.cumsum()
        rows = np.repeat(np.arange(len(new)), new)  # [N]
        positions = np.arange(len(rows)) - (ends - new)[rows] + cached[rows]  # [N]
        tables = padded_tables(block_tables)
        slots = tables[rows, positions // cache.block_size] * cache.block_size + positions % cache.block_size
        arrays = (
            tables.astype(np.int32),
            np.concatenate([[0], ends]).astype(np.int32),
            cached.astype(np.int32),
            positions,
            slots,
        )
        return cls(*(torch.from_numpy(array).to(cache.device) for array in arrays))

    def twice(self) -> "PagedRows":
        """The one token of one sequence as two of the same place."""
        return PagedRows(
            self.block_tables.repeat(2, 1),
            self.starts.new_tensor([0, 1, 2]),
            self.num_cached.repeat(2),
            self.positions.repeat(2),
            self.slots.repeat(2),
        )


def padded_tables(block_tables: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """[B, max blocks], padded with 0."""
    widest = max((len(table) for table in block_tables), default=0)
    tables = np.zeros((len(block_tables), widest), dtype=np.int64)
    for row, table in zip(tables, block_tables, strict=True):
        row[: len(table)] = table
    return tables


class PagedAttention:
    """Attention of new tokens over their sequences' blocks; writes their keys and values first. No gradients.

    num_cached, num_new [B] in tokens, num_new >= 1; a block table covers num_cached + num_new positions.
    """

    @classmethod
    def over(cls, rows: PagedRows, cache: PagedKVCache) -> "PagedAttention":
        attention = cls.__new__(cls)
        attention._set(rows, cache)
        return attention

    def __init__(
        self,
        cache: PagedKVCache,
        block_tables: Sequence[Sequence[int]],
        num_cached: Sequence[int],
        num_new: Sequence[int],
    ) -> None:
        self._set(PagedRows.of(block_tables, num_cached, num_new, cache), cache)

    def _set(self, rows: PagedRows, cache: PagedKVCache) -> None:
        self._rows, self._cache = rows, cache
        self._attend = attention_over(rows, cache)

    @property
    def positions(self) -> Tensor:
        return self._rows.positions

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
        """q [N, H, D]; k, v [N, K, D] with rope applied; returns [N, H, D].

        A query sees `window` positions, its own included, or all up to its own. softcap and bias as in
        `potstill.layers.attention.Attention`.
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys.flatten(0, 1)[self._rows.slots] = k.detach().to(keys.dtype)
        values.flatten(0, 1)[self._rows.slots] = v.detach().to(values.dtype)
        return self._attend(q.detach(), keys, values, scale=scale, window=window, softcap=softcap, bias=bias)


def attention_over(rows: PagedRows, cache: PagedKVCache) -> Callable[..., Tensor]:
    """One of the functions below that suits the cache, for all layers of a step, `rows` given to it."""
    if cache.device.type != "cpu":
        return PagedSdpa(rows, cache.block_size).attend
    is_native = cache.dtype in (torch.float32, torch.bfloat16)
    return partial(attend_native if is_native else attend_plain, rows=rows)


def attend_native(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: PagedRows,
    *,
    scale: float,
    window: int | None,
    softcap: float | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """What `attend_plain` gives, by the kernel, for float32 and bfloat16 on the CPU."""
    queries = q.float().contiguous()
    out = torch.empty_like(queries)
    table = None if bias is None else bias.detach().float().contiguous()
    _native.paged_attention(
        queries,
        keys,
        values,
        rows.block_tables,
        rows.starts,
        rows.num_cached,
        scale,
        window,
        out,
        softcap,
        table,
    )
    return out.to(q.dtype)


def attend_plain(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: PagedRows,
    *,
    scale: float,
    window: int | None,
    softcap: float | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Gather, softmax in float32, weigh: q [N, H, D]; keys, values [num_blocks, block_size, K, D]."""
    N, H, D = q.shape
    K = keys.shape[2]
    out = torch.empty_like(q)
    for row in range(len(rows.num_cached)):
        start, end = int(rows.starts[row]), int(rows.starts[row + 1])
        at = rows.positions[start:end, None]  # [T, 1]
        table = rows.block_tables[row].long()
        S = int(at[-1]) + 1
        k = keys[table].flatten(0, 1)[:S].float()  # [S, K, D]
        v = values[table].flatten(0, 1)[:S].float()
        seen = torch.arange(S, device=q.device)
        visible = (seen <= at) if window is None else (seen <= at) & (seen > at - window)  # [T, S]
        heads = q[start:end].float().view(end - start, K, H // K, D)
        scores = torch.einsum("tkgd,skd->kgts", heads, k) * scale
        if bias is not None:
            scores = scores + bias_of_distances(bias, seen - at).view(scores.shape)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        probs = scores.masked_fill(~visible, -torch.inf).softmax(-1)  # [K, G, T, S]
        out[start:end] = torch.einsum("kgts,skd->tkgd", probs, v).reshape(end - start, H, D).to(q.dtype)
    return out


def _check_rows(
    block_tables: Sequence[Sequence[int]],
    num_cached: Sequence[int],
    num_new: Sequence[int],
    cache: PagedKVCache,
) -> None:
    assert len(block_tables) == len(num_cached) == len(num_new), "one table and two counts a sequence"
    for table, cached, new in zip(block_tables, num_cached, num_new, strict=True):
        assert new >= 1 and cached >= 0, f"{cached} cached and {new} new tokens"
        assert len(table) * cache.block_size >= cached + new, (
            f"{len(table)} blocks for {cached + new} positions"
        )
        assert all(0 <= block < cache.num_blocks for block in table), (
            f"a block outside 0..{cache.num_blocks - 1}"
        )
