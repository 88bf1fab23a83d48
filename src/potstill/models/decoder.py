"""A decoder: embedding, layers, final norm, head. One set of modules for training and decoding.

Modules and parameters have the names of Hugging Face checkpoints, so files and adapters match by path.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from potstill.layers.attention import Attention
from potstill.layers.embeddings import PositionEmbedding, TokenEmbedding
from potstill.layers.norms import LayerNorm, RMSNorm
from potstill.layers.rope import Rope, RopeSettings, Rotation, matmul_dtype
from potstill.models.config import DecoderConfig
from potstill.models.family import ModelType
from potstill.models.gemma import GemmaLayer
from potstill.models.gpt2 import Gpt2Layer
from potstill.models.gptj import GptjLayer
from potstill.models.llama import LlamaLayer
from potstill.models.neox import NeoxLayer
from potstill.models.opt import OptLayer
from potstill.models.parts import LayerParts


class _Names(NamedTuple):
    """What a family calls the parts below its head."""

    layer: type[nn.Module] = LlamaLayer
    body: str = "model"
    embedding: str = "embed_tokens"
    positions: str = "embed_positions"
    blocks: str = "layers"
    norm: str = "norm"


_GPT2 = _Names(Gpt2Layer, "transformer", "wte", "wpe", "h", "ln_f")
_NAMES: dict[ModelType, _Names] = {
    "gemma2": _Names(GemmaLayer),
    "gemma3_text": _Names(GemmaLayer),
    "gpt2": _GPT2,
    "gpt_neox": _Names(NeoxLayer, "gpt_neox", embedding="embed_in", norm="final_layer_norm"),
    "gptj": _GPT2._replace(layer=GptjLayer),
    "opt": _Names(OptLayer, "model.decoder", norm="final_layer_norm"),
}


class DecoderBody(nn.Module):
    """Everything below the head; `model.` in most checkpoints."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        E, offset = config.hidden_size, config.family.position_offset
        self._names = names = _NAMES.get(config.model_type, _Names())
        self.add_module(names.embedding, TokenEmbedding(config.vocab_size, E, config.embedding_scale))
        if offset is not None:
            self.add_module(names.positions, PositionEmbedding(config.max_positions, E, offset))
        blocks = (names.layer(config, layer) for layer in range(config.num_layers))
        self.add_module(names.blocks, nn.ModuleList(blocks))
        self.add_module(names.norm, _final_norm(config))
        used = {config.rope, config.rope_local} if config.rotary_dim else set()
        self._ropes = {rope: Rope(rope, config.rotary_dim) for rope in used}
        self._rope_of_layer = [config.rope if w is None else config.rope_local for w in config.windows]

    @property
    def embedding(self) -> TokenEmbedding:
        module: TokenEmbedding = getattr(self, self._names.embedding)
        return module

    @property
    def positions(self) -> PositionEmbedding | None:
        """The table of learned positions, where there is one."""
        module: PositionEmbedding | None = getattr(self, self._names.positions, None)
        return module

    @property
    def blocks(self) -> nn.ModuleList:
        module: nn.ModuleList = getattr(self, self._names.blocks)
        return module

    @property
    def final_norm(self) -> RMSNorm | LayerNorm:
        module: RMSNorm | LayerNorm = getattr(self, self._names.norm)
        return module

    def parts(self, layer: int) -> LayerParts:
        """The matrices and norms of one layer, in the same form for all families."""
        parts: LayerParts = self.blocks[layer].parts()  # type: ignore[operator]
        return parts

    def forward(self, token_ids: Tensor, attention: Attention) -> Tensor:
        x = self.embedding(token_ids)  # [N, E]
        if self.positions is not None:
            x = x + self.positions(attention.positions)
        rotations = self._rotations(attention.positions, matmul_dtype(x))
        for layer, settings in zip(self.blocks, self._rope_of_layer, strict=True):
            x = layer(x, rotations.get(settings), attention)
        out: Tensor = self.final_norm(x)
        return out

    def _rotations(self, positions: Tensor, dtype: torch.dtype) -> dict[RopeSettings, Rotation]:
        return {settings: rope.rotation(positions, dtype) for settings, rope in self._ropes.items()}


class Decoder(nn.Module):
    """N packed tokens to hidden states, and rows of those to logits."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.body_path = _NAMES.get(config.model_type, _Names()).body
        self._add_body(DecoderBody(config))
        if not config.tied:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=config.family.head_bias)

    def _add_body(self, body: DecoderBody) -> None:
        """OPT's stands inside a `model` that holds nothing else."""
        outer, _, inner = self.body_path.rpartition(".")
        if outer:
            self.add_module(outer, nn.Module())
        self.get_submodule(outer).add_module(inner, body)

    @property
    def body(self) -> DecoderBody:
        """Everything below the head, whatever the family calls it."""
        body = self.get_submodule(self.body_path)
        assert isinstance(body, DecoderBody)
        return body

    def forward(self, token_ids: Tensor, attention: Attention) -> Tensor:
        """token_ids [N] of whole or continued sequences; returns hidden states [N, E], final norm applied."""
        hidden: Tensor = self.body(token_ids, attention)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [M, E], only the rows that need it, to [M, V]."""
        logits = F.linear(hidden.to(self.head_weight.dtype), self.head_weight, self.head_bias)
        if self.logit_softcap is None:
            return logits
        return self.logit_softcap * torch.tanh(logits / self.logit_softcap)

    @property
    def head_weight(self) -> Tensor:
        """[V, E]; the embedding itself where the head is tied."""
        return self.body.embedding.weight if self.config.tied else self.lm_head.weight

    @property
    def head_bias(self) -> Tensor | None:
        """[V], or None where the head has none."""
        return None if self.config.tied else self.lm_head.bias

    @property
    def logit_softcap(self) -> float | None:
        return self.config.logit_softcap


def _final_norm(config: DecoderConfig) -> RMSNorm | LayerNorm:
    if config.family.norm == "layer":
        return LayerNorm(config.hidden_size, config.norm_eps)
    return RMSNorm(config.hidden_size, config.norm_eps, offset=config.family.norm_offset)
