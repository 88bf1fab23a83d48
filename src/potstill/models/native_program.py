"""Building a native program: a model's forward pass as a list of instructions over named buffers.

A builder function names buffers, packs matrices and lists what is done to every token, in order; see
`models.native_decoder`. The program runs all of it in one call, by one team of threads, on the CPU.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch  # before the kernels, so that both share one pool of threads
from torch import Tensor, nn

from potstill import _native
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.layers.mlp import Activation
from potstill.layers.norms import LayerNorm, RMSNorm
from potstill.models.program_weights import Packing, ProgramWeights, WeightKind

_ACTS: dict[Activation, str] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


class View(NamedTuple):
    """Some columns of a buffer, which has a float32 row for each token of a run."""

    buffer: int
    column: int
    width: int

    def columns(self, first: int, width: int) -> "View":
        """A part of this view's own columns."""
        return View(self.buffer, self.column + first, width)


class HeadShape(NamedTuple):
    """H query heads and K key/value heads of D numbers each."""

    num_heads: int
    num_kv_heads: int
    head_dim: int


class EncoderBlocks(NamedTuple):
    """Where the keys and values of each sequence's encoded prompt lie.

    tables [B, max blocks] int32, padded with 0; lengths [B] int32, in tokens, >= 1.
    """

    tables: Tensor
    lengths: Tensor


class NativeProgram:
    """Instructions in order: the body over all N tokens of a run, then `select`, the tail over the M tokens
    that are wanted, `result`, and the head.

    Building copies norms, biases and tables of biases, and packs matrices as `kind` says; torch's own may go
    afterwards. ValueError where widths do not fit, DamagedError for weights that are no numbers where int8 is
    asked for; in the other kinds they make logits that are none either, which nothing is drawn from.
    """

    def __init__(self, kind: WeightKind, weights: ProgramWeights | None = None) -> None:
        """`weights`: where matrices and vectors come from, packed from the parameters unless told."""
        self.kind: WeightKind = kind
        self.weight_bytes = 0
        self._weights = Packing() if weights is None else weights
        self._native = _native.Program()

    # Building

    def buffer(self, width: int) -> View:
        return View(self._native.buffer(width), 0, width)

    def matrix(self, *weights: Tensor, kind: WeightKind | None = None) -> _native.PackedMatrix:
        """Weights [out, in] packed as one matrix of all their outputs, in the program's kind unless told."""
        packed = self._weights.matrix(weights, kind or self.kind)
        self.weight_bytes += packed.bytes
        return packed

    def embed(
        self,
        table: _native.PackedMatrix,
        out: View,
        *,
        scale: float = 1.0,
        positions: _native.PackedMatrix | None = None,
        offset: int = 0,
    ) -> None:
        """out = scale * table[token id] + positions[position + offset]; once a program, and first."""
        self._native.embed(table, out, scale, positions, offset)

    def norm(
        self, x: View, out: View, norm: RMSNorm | LayerNorm, *, num_heads: int = 1, accumulate: bool = False
    ) -> None:
        """out = each of num_heads equal parts of x normalised by itself, or out += that; out may be x."""
        if isinstance(norm, RMSNorm):
            weight = self._weights.vector(norm.weight, plus=norm.offset)
            self._native.norm(x, out, weight, None, norm.eps, "rms", num_heads, accumulate)
        else:
            weight, bias = self._weights.vector(norm.weight), self._weights.vector(norm.bias)
            self._native.norm(x, out, weight, bias, norm.eps, "layer", num_heads, accumulate)

    def linear(
        self,
        x: View,
        matrix: _native.PackedMatrix,
        out: View,
        *,
        bias: Tensor | None = None,
        act: Activation | None = None,
        accumulate: bool = False,
    ) -> None:
        """out = act(x W^T + bias), or out += x W^T + bias; out is another buffer than x."""
        name = "none" if act is None else _ACTS[act]
        self._native.linear(x, matrix, out, self._vector(bias), name, accumulate)

    def rotation(self, frequencies: Tensor) -> View:
        """Cosines and sines of each token's position times frequencies [R / 2], for `rotate`."""
        table = self.buffer(2 * len(frequencies))
        self._native.rotation(frequencies.float().contiguous(), table)
        return table

    def rotate(self, x: View, num_heads: int, table: View) -> None:
        """The first R numbers of each head of x turn, laid out in halves."""
        self._native.rotate(x, num_heads, table)

    def store(self, layer: int, keys: View, values: View) -> None:
        """Each token's keys and values [K * D] to its slot of the cache."""
        self._native.store(layer, keys, values)

    def attend(
        self,
        q: View,
        out: View,
        layer: int,
        shape: HeadShape,
        *,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """Over the cached positions of the token's sequence up to its own, which `store` has written.

        bias [H, 2M - 1] by distance as in `layers.attention`; distances beyond M - 1 take its ends.
        """
        self._native.attend(q, out, "cache", layer, *shape, scale, window, softcap, self._vector(bias))

    def attend_encoder(self, q: View, out: View, layer: int, shape: HeadShape, *, scale: float) -> None:
        """Over all positions of the sequence's encoded prompt (`EncoderBlocks`)."""
        self._native.attend(q, out, "encoder", layer, *shape, scale)

    def attend_packed(
        self,
        q: View,
        keys: View,
        values: View,
        out: View,
        shape: HeadShape,
        *,
        scale: float,
        bias: Tensor | None = None,
    ) -> None:
        """Over all tokens of the sequence, before and after, all of which are in this run; no cache."""
        self._native.attend(q, out, "packed", 0, *shape, scale, None, None, self._vector(bias), keys, values)

    def gate(self, a: View, b: View, out: View, act: Activation) -> None:
        """out = act(a) * b; out may be a or b."""
        self._native.gate(a, b, out, _ACTS[act])

    def add(self, x: View, out: View, *, scale: float = 1.0, accumulate: bool = True) -> None:
        """out += scale * x, or out = scale * x."""
        self._native.add(x, out, scale, accumulate)

    def select(self, x: View, out: View) -> None:
        """Ends the body: out is x at the wanted tokens, and what follows is about those."""
        self._native.select(x, out)

    def result(self, hidden: View) -> None:
        """Ends the tail: what `hidden` gives, and what logits are made from."""
        self._native.result(hidden)

    def head(
        self, matrix: _native.PackedMatrix, bias: Tensor | None = None, softcap: float | None = None
    ) -> None:
        """Logits of the result's rows, the last instruction; without one there is no `step`."""
        self._native.head(matrix, self._vector(bias), softcap)

    def _vector(self, bias: Tensor | None) -> Tensor | None:
        return None if bias is None else self._weights.vector(bias)

    # Running: ValueError or IndexError names what does not fit, before anything is written.

    def store_only(
        self,
        token_ids: Tensor,
        rows: PagedRows,
        cache: PagedKVCache | None = None,
        encoder: EncoderBlocks | None = None,
    ) -> None:
        """Run the body: keys and values are written to the cache."""
        self._native.store_only(*_inputs(token_ids, rows, cache, encoder))

    def hidden(
        self,
        token_ids: Tensor,
        rows: PagedRows,
        cache: PagedKVCache | None = None,
        encoder: EncoderBlocks | None = None,
        *,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """The result at `wanted` [M] int64 of the N tokens, all unless told: [M, E] float32."""
        chosen = torch.arange(len(token_ids)) if wanted is None else wanted
        return torch.from_numpy(self._native.hidden(*_inputs(token_ids, rows, cache, encoder, chosen)))

    def step(
        self,
        token_ids: Tensor,
        rows: PagedRows,
        cache: PagedKVCache | None,
        wanted: Tensor,
        encoder: EncoderBlocks | None = None,
    ) -> Tensor:
        """Logits [M, V] float32 at `wanted` [M] int64 of the N tokens."""
        return torch.from_numpy(self._native.step(*_inputs(token_ids, rows, cache, encoder, wanted)))

    def logits(self, hidden: Tensor, out: Tensor) -> Tensor:
        """hidden [M, E] to `out` [M, V], both float32."""
        _take_torchs_threads()
        self._native.logits(hidden.float().contiguous(), out)
        return out

    def profile(self, is_on: bool) -> None:
        """Begin to measure anew, or stop."""
        self._native.profile(is_on)

    def seconds(self) -> dict[str, float]:
        """Time spent by kind of instruction since `profile(True)`, waiting for other threads included."""
        return dict(self._native.seconds())

    @property
    def buffer_bytes(self) -> int:
        return self._native.buffer_bytes


def packed_rows(lengths: Sequence[int]) -> PagedRows:
    """Whole sequences in a row, for programs that use no cache."""
    sizes = torch.tensor(lengths, dtype=torch.int64)
    none = torch.zeros(len(lengths), dtype=torch.int32)
    return PagedRows(
        torch.zeros(len(lengths), 0, dtype=torch.int32),
        torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]).int(),
        none,
        torch.cat([torch.arange(length) for length in lengths]),
        torch.zeros(0, dtype=torch.int64),
    )


def release(module: nn.Module) -> None:
    """Let the memory of a module's weights go, once they are packed; it cannot be run any more."""
    for parameter in module.parameters():
        parameter.data = torch.empty(0, dtype=parameter.dtype, device=parameter.device)


def joined_bias(biases: Sequence[Tensor | None], sizes: Sequence[int]) -> Tensor | None:
    """The biases of matrices packed as one, zeros where one has none; None where none has."""
    device = next((bias.device for bias in biases if bias is not None), None)
    if device is None:
        return None
    return torch.cat(
        [
            torch.zeros(size, device=device) if bias is None else bias.detach().float()
            for bias, size in zip(biases, sizes, strict=True)
        ]
    )


def _take_torchs_threads() -> None:
    """OpenMP has a count for each thread of Python's; torch sets its own where it is first asked."""
    torch.get_num_threads()


def _inputs(
    token_ids: Tensor,
    rows: PagedRows,
    cache: PagedKVCache | None,
    encoder: EncoderBlocks | None,
    wanted: Tensor | None = None,
) -> tuple[Any, ...]:
    keys, values = (None, None) if cache is None else (cache.keys, cache.values)
    tables, lengths = (None, None) if encoder is None else encoder
    _take_torchs_threads()
    placed = (rows.positions, rows.slots, rows.starts, rows.num_cached, rows.block_tables)
    return (token_ids, *placed, keys, values, tables, lengths, wanted)
