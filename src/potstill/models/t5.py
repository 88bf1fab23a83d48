"""T5 and what has its shape: T5 v1.1, Flan-T5, mT5. An encoder, and a decoder that sees what it made.

Raffel et al. 2020, arXiv:1910.10683, section 2.1; Shazeer 2020, arXiv:2002.05202; Xue et al. 2021,
arXiv:2010.11934. Modules and parameters have the names of Hugging Face checkpoints.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from potstill.layers.attention import Attention
from potstill.layers.cross_attention import CrossAttention, KeysValues
from potstill.layers.embeddings import TokenEmbedding
from potstill.layers.mlp import ACTIVATIONS
from potstill.layers.norms import RMSNorm
from potstill.layers.relative_bias import RelativeBias
from potstill.models.t5_config import T5Config


class T5(nn.Module):
    """N packed prompt tokens to encoder states, M packed output tokens to decoder states, rows to logits."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = TokenEmbedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, is_decoder=False)
        self.decoder = T5Stack(config, is_decoder=True)
        if not config.is_tied:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def encode(self, token_ids: Tensor, attention: Attention) -> Tensor:
        """token_ids [S] of prompts that end with EOS, attention not causal; returns [S, E]."""
        states: Tensor = self.encoder(self.shared(token_ids), attention)
        return states

    def keys_values(self, encoded: Tensor) -> list[KeysValues]:
        """What the decoder's layers see of encoded prompts [S, E]: [L] of keys and values [S, H, D]."""
        return [cast(T5Block, block).keys_values(encoded) for block in self.decoder.block]

    def forward(self, token_ids: Tensor, attention: Attention, prompts: CrossAttention) -> Tensor:
        """token_ids [N], the decoder start first; returns hidden states [N, E] as the head takes them."""
        hidden: Tensor = self.decoder(self.shared(token_ids), attention, prompts)
        return hidden * self.config.d_model**-0.5 if self.config.scales_outputs else hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [M, E], only the rows that need it, to [M, V]."""
        return F.linear(hidden.to(self.head_weight.dtype), self.head_weight)

    @property
    def head_weight(self) -> Tensor:
        """[V, E]; the embedding itself where the head is tied."""
        return self.shared.weight if self.config.is_tied else self.lm_head.weight

    @property
    def logit_softcap(self) -> None:
        return None


class T5Stack(nn.Module):
    """All layers of the encoder or of the decoder, and the norm after them."""

    def __init__(self, config: T5Config, *, is_decoder: bool) -> None:
        super().__init__()
        num_layers = config.num_decoder_layers if is_decoder else config.num_layers
        self.block = nn.ModuleList(
            T5Block(config, layer, is_decoder=is_decoder) for layer in range(num_layers)
        )
        self.final_layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, attention: Attention, prompts: CrossAttention | None = None) -> Tensor:
        """x [N, E] to [N, E], the final norm applied."""
        dtype = x.dtype
        # Float16's 65504 is soon reached by the sum over all layers; a sum in float32 never is.
        x = x.float() if dtype == torch.float16 else x
        # All layers share the table of the first, which is where checkpoints keep it.
        table = self.get_submodule("block.0.layer.0.SelfAttention.relative_attention_bias")
        bias = table(int(attention.positions.max()) + 1)  # [H, 2M - 1]
        for block in self.block:
            x = block(x, attention, bias, prompts)
        out: Tensor = self.final_layer_norm(x)
        return out.to(dtype)


class T5Block(nn.Module):
    def __init__(self, config: T5Config, layer: int, *, is_decoder: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([T5SelfAttention(config, layer, is_decoder=is_decoder)])
        if is_decoder:
            self.layer.append(T5CrossAttention(config, layer))
        self.layer.append(T5FeedForward(config))

    def forward(
        self, x: Tensor, attention: Attention, bias: Tensor, prompts: CrossAttention | None
    ) -> Tensor:
        """x [N, E] to [N, E]."""
        x = self.layer[0](x, attention, bias)
        if prompts is not None:
            x = self.layer[1](x, prompts)
        out: Tensor = self.layer[-1](x)
        return out

    def keys_values(self, encoded: Tensor) -> KeysValues:
        """What a decoder's block sees of encoded prompts [S, E]: keys and values [S, H, D]."""
        return cast(T5CrossAttention, self.layer[1]).EncDecAttention.keys_values(encoded)


class T5SelfAttention(nn.Module):
    def __init__(self, config: T5Config, layer: int, *, is_decoder: bool) -> None:
        super().__init__()
        self.SelfAttention = T5Attention(config, layer)
        if layer == 0:
            self.SelfAttention.relative_attention_bias = RelativeBias(
                config.relative_attention_num_buckets,
                config.relative_attention_max_distance,
                config.num_heads,
                bidirectional=not is_decoder,
            )
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, attention: Attention, bias: Tensor) -> Tensor:
        own = self.SelfAttention
        normed = self.layer_norm(x).to(own.q.weight.dtype)
        keys, values = own.keys_values(normed)
        seen = attention.attend(
            own.layer_index, own.queries(normed), keys, values, scale=1.0, window=None, bias=bias
        )
        out: Tensor = x + _finite(own.o(seen.flatten(1)))
        return out


class T5CrossAttention(nn.Module):
    def __init__(self, config: T5Config, layer: int) -> None:
        super().__init__()
        self.EncDecAttention = T5Attention(config, layer)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, prompts: CrossAttention) -> Tensor:
        own = self.EncDecAttention
        normed = self.layer_norm(x).to(own.q.weight.dtype)
        seen = prompts.attend(own.layer_index, own.queries(normed), scale=1.0)
        out: Tensor = x + _finite(own.o(seen.flatten(1)))
        return out


class T5Attention(nn.Module):
    """The projections around attention; scores are not scaled, since the weights are drawn for that."""

    def __init__(self, config: T5Config, layer: int) -> None:
        super().__init__()
        E, inner = config.d_model, config.num_heads * config.d_kv
        self.num_heads, self.layer_index = config.num_heads, layer
        self.q = nn.Linear(E, inner, bias=False)
        self.k = nn.Linear(E, inner, bias=False)
        self.v = nn.Linear(E, inner, bias=False)
        self.o = nn.Linear(inner, E, bias=False)

    def queries(self, x: Tensor) -> Tensor:
        """x [N, E] to [N, H, D]."""
        return self._heads(self.q(x))

    def keys_values(self, x: Tensor) -> KeysValues:
        """x [N, E] to keys and values [N, H, D]."""
        return KeysValues(self._heads(self.k(x)), self._heads(self.v(x)))

    def _heads(self, x: Tensor) -> Tensor:
        return _finite(x).view(len(x), self.num_heads, -1)


class T5FeedForward(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = GatedFeedForward(config) if config.is_gated else PlainFeedForward(config)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.DenseReluDense(self.layer_norm(x))
        return out


class PlainFeedForward(nn.Module):
    """wo(activation(wi(x)))."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self._activate = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        inner = self._activate(_finite(self.wi(x.to(self.wi.weight.dtype))))
        out: Tensor = self.wo(inner.to(self.wo.weight.dtype))
        return out


class GatedFeedForward(nn.Module):
    """wo(activation(wi_0(x)) * wi_1(x))."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self._activate = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        x, dtype = x.to(self.wi_0.weight.dtype), self.wo.weight.dtype
        gate = self._activate(_finite(self.wi_0(x)))
        out: Tensor = self.wo(gate.to(dtype) * _finite(self.wi_1(x)).to(dtype))
        return out


def _finite(x: Tensor) -> Tensor:
    """What float16 could not hold becomes the largest number it can."""
    if x.dtype != torch.float16:
        return x
    largest = torch.finfo(x.dtype).max
    return x.clamp(-largest, largest)
