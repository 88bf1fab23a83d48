"""A decoder: embedding, layers, final norm, head. One set of modules for training and decoding.

Modules and parameters have the names of Hugging Face checkpoints, so files and adapters match by path.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from potstill.layers.attention import Attention
from potstill.layers.embeddings import TokenEmbedding
from potstill.layers.norms import RMSNorm
from potstill.layers.rope import Rope, matmul_dtype
from potstill.models.config import DecoderConfig
from potstill.models.gemma3 import Gemma3Layer
from potstill.models.llama import LlamaLayer


class DecoderBody(nn.Module):
    """Everything below the head; `model.` in a checkpoint."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        is_gemma = config.model_type == "gemma3_text"
        layer_class = Gemma3Layer if is_gemma else LlamaLayer
        scale = math.sqrt(config.hidden_size) if is_gemma else 1.0
        self.embed_tokens = TokenEmbedding(config.vocab_size, config.hidden_size, scale)
        self.layers = nn.ModuleList(layer_class(config, layer) for layer in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps, offset=1 if is_gemma else 0)
        self._ropes = {rope: Rope(rope, config.head_dim) for rope in (config.rope, config.rope_local)}
        self._rope_of_layer = [config.rope if w is None else config.rope_local for w in config.windows]

    def forward(self, token_ids: Tensor, attention: Attention) -> Tensor:
        x = self.embed_tokens(token_ids)  # [N, E]
        dtype = matmul_dtype(x)
        rotations = {
            settings: rope.rotation(attention.positions, dtype) for settings, rope in self._ropes.items()
        }
        for layer, settings in zip(self.layers, self._rope_of_layer, strict=True):
            x = layer(x, rotations[settings], attention)
        out: Tensor = self.norm(x)
        return out


class Decoder(nn.Module):
    """N packed tokens to hidden states, and rows of those to logits."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = DecoderBody(config)
        if not config.tied:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, token_ids: Tensor, attention: Attention) -> Tensor:
        """token_ids [N] of whole or continued sequences; returns hidden states [N, E], final norm applied."""
        hidden: Tensor = self.model(token_ids, attention)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [M, E], only the rows that need it, to [M, V]."""
        logits = F.linear(hidden.to(self.head_weight.dtype), self.head_weight)
        if self.logit_softcap is None:
            return logits
        return self.logit_softcap * torch.tanh(logits / self.logit_softcap)

    @property
    def head_weight(self) -> Tensor:
        """[V, E]; the embedding itself where the head is tied."""
        return self.model.embed_tokens.weight if self.config.tied else self.lm_head.weight

    @property
    def logit_softcap(self) -> float | None:
        return self.config.logit_softcap
