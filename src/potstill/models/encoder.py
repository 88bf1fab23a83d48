"""BERT and RoBERTa: packed texts to a state for each token.

Devlin et al. 2019, arXiv:1810.04805; Liu et al. 2019, arXiv:1907.11692. They differ in where positions begin
and in the head that sorts texts. Modules and parameters have the names of Hugging Face checkpoints.
"""

from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.layers.embeddings import TokenEmbedding
from potstill.layers.mlp import ACTIVATIONS
from potstill.layers.norms import LayerNorm
from potstill.models.encoder_config import EncoderConfig


class Encoder(nn.Module):
    """N packed tokens of whole texts, their special tokens included, to states."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = EncoderEmbeddings(config)
        self.encoder = EncoderLayers(config)

    def forward(self, token_ids: Tensor, type_ids: Tensor, attention: Attention) -> Tensor:
        """token_ids, type_ids [N], the latter 0 in a first text and 1 in a second; attention not causal.

        Returns [N, E].
        """
        x: Tensor = self.embeddings(token_ids, type_ids, attention.positions)
        states: Tensor = self.encoder(x, attention)
        return states


class EncoderLayers(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EncoderLayer(config, layer) for layer in range(config.num_hidden_layers))

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        for layer in self.layer:
            x = layer(x, attention)
        return x


class EncoderEmbeddings(nn.Module):
    """The sum of what a token, its place and its text look up, normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = TokenEmbedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = TokenEmbedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = TokenEmbedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self._offset = config.position_offset

    def forward(self, token_ids: Tensor, type_ids: Tensor, positions: Tensor) -> Tensor:
        of_tokens = self.word_embeddings(token_ids) + self.token_type_embeddings(type_ids)
        normed: Tensor = self.LayerNorm(of_tokens + self.position_embeddings(positions + self._offset))
        return normed


class EncoderLayer(nn.Module):
    """Attention and a feed-forward block; the norm comes after each is added."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        E, inner = config.hidden_size, config.intermediate_size
        self.attention = EncoderAttention(config, layer)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(E, inner)})
        self.output = AddedOutput(inner, E, config.layer_norm_eps)
        self._activate = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        """x [N, E] to [N, E]."""
        x = self.attention(x, attention)
        out: Tensor = self.output(self._activate(self.intermediate["dense"](x)), x)
        return out


class EncoderAttention(nn.Module):
    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        E = config.hidden_size
        self.num_heads, self.layer_index = config.num_attention_heads, layer
        self.scale = (E // self.num_heads) ** -0.5
        self.self = nn.ModuleDict({name: nn.Linear(E, E) for name in ("query", "key", "value")})
        self.output = AddedOutput(E, E, config.layer_norm_eps)

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        q, k, v = (project(x).view(len(x), self.num_heads, -1) for project in self.self.values())
        seen = attention.attend(self.layer_index, q, k, v, scale=self.scale, window=None)  # [N, H, D]
        out: Tensor = self.output(seen.reshape(len(x), -1), x)
        return out


class AddedOutput(nn.Module):
    """norm(dense(x) + before)."""

    def __init__(self, size: int, output_size: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size, output_size)
        self.LayerNorm = LayerNorm(output_size, eps)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(self.dense(x) + before)
        return out
