"""A T5 as two native programs: one writes what the decoder sees of prompts, the other steps the decoder."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from potstill import _native
from potstill.layers.cross_attention import PromptRows
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.layers.relative_bias import RelativeBias
from potstill.models.native_program import (
    EncoderBlocks,
    HeadShape,
    NativeProgram,
    View,
    release,
)
from potstill.models.program_weights import Packing, ProgramWeights, WeightKind
from potstill.models.t5 import (
    T5,
    GatedFeedForward,
    PlainFeedForward,
    T5Attention,
    T5Block,
    T5CrossAttention,
    T5FeedForward,
    T5SelfAttention,
    T5Stack,
)
from potstill.models.t5_config import T5Config


class NativeT5Runner:
    """Runs a T5 that was packed; a token's logits hang on its own prompt and output, to the last bit."""

    def __init__(self, encoder: NativeProgram, decoder: NativeProgram, config: T5Config) -> None:
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.device = torch.device("cpu")
        self.cache_dtype = torch.float32 if decoder.kind == "fp32" else torch.bfloat16

    @classmethod
    @torch.no_grad()
    def of(cls, t5: T5, kind: WeightKind, weights: ProgramWeights | None = None) -> "NativeT5Runner":
        """Pack a T5 on the CPU. It is used up: each weight goes once it is packed, so the model is never in
        memory twice. `weights` that were kept need no more than its shapes."""
        weights = Packing() if weights is None else weights
        encoder, decoder = NativeProgram(kind, weights), NativeProgram(kind, weights)
        table = encoder.matrix(t5.shared.weight)
        _build_encoder(encoder, table, t5)
        _build_decoder(decoder, table, t5)
        release(t5)
        return cls(encoder, decoder, t5.config)

    @property
    def kind(self) -> WeightKind:
        return self.decoder.kind

    @property
    def weight_bytes(self) -> int:
        return self.encoder.weight_bytes + self.decoder.weight_bytes

    def encode(self, token_ids: Tensor, rows: PagedRows, cache: PagedKVCache) -> None:
        self.encoder.store_only(token_ids, rows, cache)

    def step(
        self, token_ids: Tensor, rows: PagedRows, prompts: PromptRows, cache: PagedKVCache, wanted: Tensor
    ) -> Tensor:
        encoded = EncoderBlocks(prompts.block_tables, prompts.lengths)
        return self.decoder.step(token_ids, rows, cache, wanted, encoded)

    def logits_of_whole(
        self,
        prompt_ids: Tensor,
        prompt_lengths: Sequence[int],
        output_ids: Tensor,
        output_lengths: Sequence[int],
    ) -> Tensor:
        """In a cache of its own, of one block a sequence."""
        config, B = self.config, len(prompt_lengths)
        block_size = max(*prompt_lengths, *output_lengths)
        cache = PagedKVCache(
            config.num_decoder_layers,
            2 * B,
            block_size,
            config.num_heads,
            config.d_kv,
            dtype=self.cache_dtype,
        )
        tables, nothing = [[row] for row in range(B)], [0] * B
        self.encode(prompt_ids, PagedRows.of(tables, nothing, prompt_lengths, cache), cache)
        rows = PagedRows.of([[B + row] for row in range(B)], nothing, output_lengths, cache)
        wanted = torch.tensor(output_lengths).cumsum(0) - 1
        return self.step(output_ids, rows, PromptRows.of(tables, prompt_lengths, cache), cache, wanted)


class _Room(NamedTuple):
    """The buffers of a stack; all layers use the same."""

    x: View
    normed: View
    qkv: View
    attended: View
    inner: View  # gate and up side by side where there is a gate

    @classmethod
    def of(cls, program: NativeProgram, config: T5Config) -> "_Room":
        inner = config.num_heads * config.d_kv
        widths = (
            config.d_model,
            config.d_model,
            3 * inner,
            inner,
            (2 if config.is_gated else 1) * config.d_ff,
        )
        return cls(*map(program.buffer, widths))


class _Builder:
    """Adds the blocks of one stack to a program."""

    def __init__(self, program: NativeProgram, config: T5Config, bias: Tensor) -> None:
        self.program, self.config, self._bias = program, config, bias
        self.room = _Room.of(program, config)
        self._shape = HeadShape(config.num_heads, config.num_heads, config.d_kv)
        self._inner = config.num_heads * config.d_kv

    def self_attention(self, sublayer: T5SelfAttention, *, is_decoder: bool) -> None:
        program, room, own = self.program, self.room, sublayer.SelfAttention
        program.norm(room.x, room.normed, sublayer.layer_norm)
        joined = program.matrix(own.q.weight, own.k.weight, own.v.weight)
        program.linear(room.normed, joined, room.qkv)
        q, k, v = (room.qkv.columns(part * self._inner, self._inner) for part in range(3))
        if is_decoder:
            layer = own.layer_index
            program.store(layer, k, v)
            program.attend(q, room.attended, layer, self._shape, scale=1.0, bias=self._bias)
        else:
            program.attend_packed(q, k, v, room.attended, self._shape, scale=1.0, bias=self._bias)
        program.linear(room.attended, program.matrix(own.o.weight), room.x, accumulate=True)

    def cross_attention(self, sublayer: T5CrossAttention) -> None:
        program, room, own = self.program, self.room, sublayer.EncDecAttention
        program.norm(room.x, room.normed, sublayer.layer_norm)
        q = room.qkv.columns(0, self._inner)
        program.linear(room.normed, program.matrix(own.q.weight), q)
        program.attend_encoder(q, room.attended, own.layer_index, self._shape, scale=1.0)
        program.linear(room.attended, program.matrix(own.o.weight), room.x, accumulate=True)

    def feed_forward(self, sublayer: T5FeedForward) -> None:
        program, room, config = self.program, self.room, self.config
        own: GatedFeedForward | PlainFeedForward = sublayer.DenseReluDense
        program.norm(room.x, room.normed, sublayer.layer_norm)
        inner = room.inner.columns(0, config.d_ff)
        if isinstance(own, GatedFeedForward):
            program.linear(room.normed, program.matrix(own.wi_0.weight, own.wi_1.weight), room.inner)
            program.gate(inner, room.inner.columns(config.d_ff, config.d_ff), inner, config.activation)
        else:
            program.linear(room.normed, program.matrix(own.wi.weight), inner, act=config.activation)
        program.linear(inner, program.matrix(own.wo.weight), room.x, accumulate=True)

    def keys_values(self, attention: T5Attention) -> None:
        """Of the encoder's normed states, for a layer of the decoder."""
        program, room = self.program, self.room
        both = room.qkv.columns(0, 2 * self._inner)
        program.linear(room.normed, program.matrix(attention.k.weight, attention.v.weight), both)
        keys, values = both.columns(0, self._inner), both.columns(self._inner, self._inner)
        program.store(attention.layer_index, keys, values)


def _build_encoder(program: NativeProgram, table: _native.PackedMatrix, t5: T5) -> None:
    """Embedding, blocks, norm, and the keys and values that each of the decoder's layers makes of that."""
    builder = _Builder(program, t5.config, _bias_of(t5.encoder))
    program.embed(table, builder.room.x)
    for block in _blocks(t5.encoder):
        builder.self_attention(cast(T5SelfAttention, block.layer[0]), is_decoder=False)
        builder.feed_forward(cast(T5FeedForward, block.layer[1]))
        release(block)
    program.norm(builder.room.x, builder.room.normed, t5.encoder.final_layer_norm)
    for block in _blocks(t5.decoder):
        builder.keys_values(cast(T5CrossAttention, block.layer[1]).EncDecAttention)


def _build_decoder(program: NativeProgram, table: _native.PackedMatrix, t5: T5) -> None:
    """Embedding, blocks, norm, head."""
    config = t5.config
    builder = _Builder(program, config, _bias_of(t5.decoder))
    program.embed(table, builder.room.x)
    for block in _blocks(t5.decoder):
        builder.self_attention(cast(T5SelfAttention, block.layer[0]), is_decoder=True)
        builder.cross_attention(cast(T5CrossAttention, block.layer[1]))
        builder.feed_forward(cast(T5FeedForward, block.layer[2]))
        release(block)
    hidden = program.buffer(config.d_model)
    program.select(builder.room.x, hidden)
    program.norm(hidden, hidden, t5.decoder.final_layer_norm)
    if config.scales_outputs:
        program.add(hidden, hidden, scale=config.d_model**-0.5, accumulate=False)
    program.result(hidden)
    program.head(table if config.is_tied else program.matrix(t5.head_weight))


def _blocks(stack: T5Stack) -> list[T5Block]:
    return [cast(T5Block, block) for block in stack.block]


def _bias_of(stack: T5Stack) -> Tensor:
    """By distance, as far as distances differ: those beyond the table take its ends. A copy."""
    table = stack.get_submodule("block.0.layer.0.SelfAttention.relative_attention_bias")
    assert isinstance(table, RelativeBias)
    bias: Tensor = table(table.max_distance + 1)
    return bias.clone()
