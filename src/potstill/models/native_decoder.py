"""A decoder of any family as a native program: its weights packed, its forward pass one call on the CPU."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from potstill import _native
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.native_program import HeadShape, NativeProgram, View, joined_bias, release
from potstill.models.parts import LayerParts, Projection
from potstill.models.program_weights import ProgramWeights, WeightKind


class NativeRunner:
    """Runs a decoder that was packed; a token's logits hang on its own sequence only, to the last bit."""

    def __init__(self, program: NativeProgram, config: DecoderConfig) -> None:
        self.program, self.config = program, config
        self.device = torch.device("cpu")
        self.cache_dtype = torch.float32 if program.kind == "fp32" else torch.bfloat16
        self.logits_dtype = torch.float32

    @classmethod
    @torch.no_grad()
    def of(cls, decoder: Decoder, kind: WeightKind, weights: ProgramWeights | None = None) -> "NativeRunner":
        """Pack a decoder on the CPU, adapters merged. It is used up: each weight goes once it is packed, so
        the model is never in memory twice. `weights` that were kept need no more than its shapes."""
        return cls(build_decoder(decoder, kind, weights), decoder.config)

    @property
    def kind(self) -> WeightKind:
        return self.program.kind

    @property
    def weight_bytes(self) -> int:
        return self.program.weight_bytes

    def hidden(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> Tensor:
        return self.program.hidden(token_ids, rows, cache)

    def hidden_of_whole(self, token_ids: Tensor, lengths: Sequence[int]) -> Tensor:
        config, longest = self.config, max(lengths)
        cache = PagedKVCache(
            config.num_layers,
            len(lengths),
            longest,
            config.num_kv_heads,
            config.head_dim,
            dtype=self.cache_dtype,
        )
        rows = PagedRows.of([[row] for row in range(len(lengths))], [0] * len(lengths), lengths, cache)
        return self.hidden(token_ids, rows, cache)

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        if out is None:
            out = torch.empty(len(hidden), self.config.vocab_size)
        return self.program.logits(hidden, out)

    def step(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache, wanted: Tensor) -> Tensor:
        return self.program.step(token_ids, rows, cache, wanted)


class _Room(NamedTuple):
    """The buffers of a decoder; all layers use the same."""

    x: View
    normed: View
    normed_too: View  # what the feed-forward block reads where the attention's input is still needed
    qkv: View
    attended: View
    inner: View  # gate and up side by side where there is a gate
    branch: View  # a block's result where a norm stands before it is added

    @classmethod
    def of(cls, program: NativeProgram, config: DecoderConfig) -> "_Room":
        E, D = config.hidden_size, config.head_dim
        parts = 2 if config.family.is_gated else 1
        return cls(
            program.buffer(E),
            program.buffer(E),
            program.buffer(E),
            program.buffer((config.num_heads + 2 * config.num_kv_heads) * D),
            program.buffer(config.num_heads * D),
            program.buffer(parts * config.intermediate_size),
            program.buffer(E),
        )


def build_decoder(decoder: Decoder, kind: WeightKind, weights: ProgramWeights | None = None) -> NativeProgram:
    """Embedding, layers, final norm, head; the decoder's weights go as they are packed."""
    program, config, body = NativeProgram(kind, weights), decoder.config, decoder.body
    room = _Room.of(program, config)
    table = program.matrix(body.embedding.weight)
    scale = torch.tensor(config.embedding_scale, dtype=body.embedding.weight.dtype).item()
    positions = None if body.positions is None else program.matrix(body.positions.weight, kind="fp32")
    offset = 0 if body.positions is None else body.positions.offset
    program.embed(table, room.x, scale=scale, positions=positions, offset=offset)
    release(body.embedding)
    tables = _rotations(program, config)
    for layer in range(config.num_layers):
        _add_layer(program, room, config, layer, body.parts(layer), tables)
        release(body.blocks[layer])
    hidden = program.buffer(config.hidden_size)
    program.select(room.x, hidden)
    program.norm(hidden, hidden, body.final_norm)
    program.result(hidden)
    _add_head(program, decoder, table)
    release(decoder)
    return program


def _rotations(program: NativeProgram, config: DecoderConfig) -> dict[RopeSettings, View]:
    if not config.rotary_dim:
        return {}
    used = {config.rope if window is None else config.rope_local for window in config.windows}
    return {settings: program.rotation(settings.frequencies(config.rotary_dim)) for settings in used}


def _add_head(program: NativeProgram, decoder: Decoder, table: _native.PackedMatrix) -> None:
    matrix = table if decoder.config.tied else program.matrix(decoder.head_weight)
    program.head(matrix, decoder.head_bias, decoder.logit_softcap)


def _add_layer(
    program: NativeProgram,
    room: _Room,
    config: DecoderConfig,
    layer: int,
    parts: LayerParts,
    tables: Mapping[RopeSettings, View],
) -> None:
    program.norm(room.x, room.normed, parts.attention_norm)
    _add_projections(program, room, config, parts)
    _add_attention(program, room, config, layer, parts, tables)
    seen = room.normed
    if config.parallel_residual and parts.mlp_norm is not None:
        # Before the attention's result is added: the feed-forward block is not to see it.
        seen = room.normed_too
        program.norm(room.x, seen, parts.mlp_norm)
    _add_branch(program, room, room.attended, parts.o, parts.after_attention)
    if not config.parallel_residual and parts.mlp_norm is not None:
        program.norm(room.x, seen, parts.mlp_norm)
    inner = _add_inner(program, room, config, parts, seen)
    _add_branch(program, room, inner, parts.down, parts.after_mlp)


def _add_projections(program: NativeProgram, room: _Room, config: DecoderConfig, parts: LayerParts) -> None:
    matrix, bias = _joined(program, parts.q, parts.k, parts.v)
    program.linear(room.normed, matrix, room.qkv, bias=bias)


def _add_attention(
    program: NativeProgram,
    room: _Room,
    config: DecoderConfig,
    layer: int,
    parts: LayerParts,
    tables: Mapping[RopeSettings, View],
) -> None:
    H, K, D = shape = HeadShape(config.num_heads, config.num_kv_heads, config.head_dim)
    q, k = room.qkv.columns(0, H * D), room.qkv.columns(H * D, K * D)
    v = room.qkv.columns((H + K) * D, K * D)
    if parts.q_norm is not None and parts.k_norm is not None:
        program.norm(q, q, parts.q_norm, num_heads=H)
        program.norm(k, k, parts.k_norm, num_heads=K)
    window = config.windows[layer]
    if tables:
        settings = config.rope if window is None else config.rope_local
        program.rotate(room.qkv.columns(0, (H + K) * D), H + K, tables[settings])
    program.store(layer, k, v)
    program.attend(
        q,
        room.attended,
        layer,
        shape,
        scale=config.query_scale,
        window=window,
        softcap=config.attention_softcap,
    )


def _add_inner(
    program: NativeProgram, room: _Room, config: DecoderConfig, parts: LayerParts, seen: View
) -> View:
    size = config.intermediate_size
    if parts.gate is None:
        matrix, bias = _joined(program, parts.up)
        program.linear(seen, matrix, room.inner, bias=bias, act=config.activation)
        return room.inner
    matrix, bias = _joined(program, parts.gate, parts.up)
    program.linear(seen, matrix, room.inner, bias=bias)
    gate, up = room.inner.columns(0, size), room.inner.columns(size, size)
    program.gate(gate, up, gate, config.activation)
    return gate


def _add_branch(
    program: NativeProgram, room: _Room, inner: View, last: Projection, norm: RMSNorm | None
) -> None:
    """x += inner W^T + b, or that normalised."""
    matrix, bias = _joined(program, last)
    if norm is None:
        program.linear(inner, matrix, room.x, bias=bias, accumulate=True)
        return
    program.linear(inner, matrix, room.branch, bias=bias)
    program.norm(room.branch, room.x, norm, accumulate=True)


def _joined(program: NativeProgram, *projections: Projection) -> tuple[_native.PackedMatrix, Tensor | None]:
    """One matrix, and one bias, of projections that read the same input."""
    sizes = [len(projection.weight) for projection in projections]
    bias = joined_bias([projection.bias for projection in projections], sizes)
    return program.matrix(*(projection.weight for projection in projections)), bias
