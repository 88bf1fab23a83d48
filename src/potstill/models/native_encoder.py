"""An encoder as a native program: its weights packed, its forward pass one call on the CPU."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from potstill.models.encoder import Encoder, EncoderLayer
from potstill.models.encoder_config import EncoderConfig
from potstill.models.native_program import (
    HeadShape,
    NativeProgram,
    View,
    joined_bias,
    packed_rows,
    release,
)
from potstill.models.program_weights import ProgramWeights, WeightKind

# A text, and what is said of it or compared with it: nobody asks about three at once.
_MAX_TYPES = 2


class NativeEncoderRunner:
    """Runs an encoder that was packed; a text's states hang on that text only, to the last bit."""

    def __init__(self, program: NativeProgram, config: EncoderConfig) -> None:
        self.program, self.config = program, config
        self.device = torch.device("cpu")

    @classmethod
    @torch.no_grad()
    def of(
        cls, encoder: Encoder, kind: WeightKind, weights: ProgramWeights | None = None
    ) -> "NativeEncoderRunner":
        """Pack an encoder on the CPU. It is used up: each weight goes once it is packed. `weights` that were
        kept need no more than its shapes."""
        return cls(_build(encoder, kind, weights), encoder.config)

    def states(
        self, token_ids: Tensor, type_ids: Tensor, lengths: Sequence[int], wanted: Tensor | None = None
    ) -> Tensor:
        assert max(lengths) <= self.config.max_positions, "a text beyond the places of a first text"
        rows = packed_rows(lengths)
        # The table has all places of a first text, then all of a second one.
        places = rows.positions + type_ids * self.config.max_position_embeddings
        return self.program.hidden(token_ids, replace(rows, positions=places), wanted=wanted)


class _Room(NamedTuple):
    """The buffers of an encoder; all layers use the same."""

    x: View
    qkv: View
    attended: View
    inner: View


def _build(encoder: Encoder, kind: WeightKind, weights: ProgramWeights | None) -> NativeProgram:
    program, config = NativeProgram(kind, weights), encoder.config
    E = config.hidden_size
    room = _Room(*map(program.buffer, (E, 3 * E, E, config.intermediate_size)))
    embeddings = encoder.embeddings
    program.embed(
        program.matrix(embeddings.word_embeddings.weight),
        room.x,
        positions=program.matrix(_places(encoder), kind="fp32"),
        offset=config.position_offset,
    )
    program.norm(room.x, room.x, embeddings.LayerNorm)
    for layer in encoder.encoder.layer:
        _add_layer(program, room, config, cast(EncoderLayer, layer))
        release(layer)
    release(encoder)
    hidden = program.buffer(E)
    program.select(room.x, hidden)
    program.result(hidden)
    return program


def _places(encoder: Encoder) -> Tensor:
    """What a place adds to a token of a first text, then of a second: [types * positions, E]."""
    positions = encoder.embeddings.position_embeddings.weight.float()
    types = encoder.embeddings.token_type_embeddings.weight[:_MAX_TYPES].float()
    return (types[:, None] + positions).flatten(0, 1)


def _add_layer(program: NativeProgram, room: _Room, config: EncoderConfig, layer: EncoderLayer) -> None:
    E, attention = config.hidden_size, layer.attention
    H = config.num_attention_heads
    parts = [cast(nn.Linear, attention.self[name]) for name in ("query", "key", "value")]
    program.linear(
        room.x,
        program.matrix(*(part.weight for part in parts)),
        room.qkv,
        bias=joined_bias([part.bias for part in parts], [E, E, E]),
    )
    q, k, v = (room.qkv.columns(place * E, E) for place in range(3))
    program.attend_packed(q, k, v, room.attended, HeadShape(H, H, E // H), scale=attention.scale)
    added = attention.output
    program.linear(
        room.attended, program.matrix(added.dense.weight), room.x, bias=added.dense.bias, accumulate=True
    )
    program.norm(room.x, room.x, added.LayerNorm)
    first, added = cast(nn.Linear, layer.intermediate["dense"]), layer.output
    program.linear(room.x, program.matrix(first.weight), room.inner, bias=first.bias, act=config.activation)
    program.linear(
        room.inner, program.matrix(added.dense.weight), room.x, bias=added.dense.bias, accumulate=True
    )
    program.norm(room.x, room.x, added.LayerNorm)
