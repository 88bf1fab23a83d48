"""A layer taken apart, whatever its family calls its parts: what a program outside torch is made from."""

from typing import NamedTuple

from torch import Tensor, nn

from potstill.layers.lora import LoraLinear
from potstill.layers.mlp import GatedMlp
from potstill.layers.norms import LayerNorm, RMSNorm
from potstill.layers.self_attention import SelfAttention
from potstill.layers.transposed_linear import TransposedLinear


class Projection(NamedTuple):
    """x W^T + b with weight [out, in], which may be a view, and bias [out] or None."""

    weight: Tensor
    bias: Tensor | None

    def rows(self, order: Tensor) -> "Projection":
        """The outputs numbered `order`, in that order."""
        return Projection(self.weight[order], None if self.bias is None else self.bias[order])

    def split(self, num_parts: int) -> "list[Projection]":
        """The outputs in equal parts, in their order."""
        weights = self.weight.chunk(num_parts)
        biases = [None] * num_parts if self.bias is None else self.bias.chunk(num_parts)
        return [Projection(*pair) for pair in zip(weights, biases, strict=True)]


class LayerParts(NamedTuple):
    """One layer of a decoder, adapters merged; what is None is left out.

    q [H * D, E] and k [K * D, E] are laid out for a rotation in halves whatever the checkpoint does. With
    `mlp_norm` None the feed-forward block reads what `attention_norm` gives; that, and an input of
    `mlp_norm` without the attention's result, is `parallel_residual` in the config.
    """

    attention_norm: RMSNorm | LayerNorm
    q: Projection
    k: Projection
    v: Projection
    o: Projection
    q_norm: RMSNorm | None
    k_norm: RMSNorm | None
    after_attention: RMSNorm | None
    mlp_norm: RMSNorm | LayerNorm | None
    gate: Projection | None
    up: Projection
    down: Projection
    after_mlp: RMSNorm | None


def projection(module: nn.Module) -> Projection:
    """Of a linear layer of any kind; a copy only where an adapter is added to the weight."""
    if isinstance(module, LoraLinear):
        return Projection(module.merged_weight(), module.bias)
    assert isinstance(module, nn.Linear | TransposedLinear), type(module)
    weight = module.weight.T if isinstance(module, TransposedLinear) else module.weight
    return Projection(weight, module.bias)


def gated_parts(
    attention: SelfAttention,
    mlp: GatedMlp,
    attention_norm: RMSNorm,
    *,
    mlp_norm: RMSNorm,
    after_attention: RMSNorm | None = None,
    after_mlp: RMSNorm | None = None,
) -> LayerParts:
    """Of a layer of the Llama and Gemma families."""
    q_norm, k_norm = attention.q_norm, attention.k_norm
    return LayerParts(
        attention_norm=attention_norm,
        q=projection(attention.q_proj),
        k=projection(attention.k_proj),
        v=projection(attention.v_proj),
        o=projection(attention.o_proj),
        q_norm=q_norm if isinstance(q_norm, RMSNorm) else None,
        k_norm=k_norm if isinstance(k_norm, RMSNorm) else None,
        after_attention=after_attention,
        mlp_norm=mlp_norm,
        gate=projection(mlp.gate_proj),
        up=projection(mlp.up_proj),
        down=projection(mlp.down_proj),
        after_mlp=after_mlp,
    )


def plain_parts(
    attention_norm: LayerNorm,
    qkv: tuple[Projection, Projection, Projection],
    o: nn.Module,
    mlp_norm: LayerNorm | None,
    up: nn.Module,
    down: nn.Module,
) -> LayerParts:
    """Of a layer of the GPT families."""
    q, k, v = qkv
    return LayerParts(
        attention_norm=attention_norm,
        q=q,
        k=k,
        v=v,
        o=projection(o),
        q_norm=None,
        k_norm=None,
        after_attention=None,
        mlp_norm=mlp_norm,
        gate=None,
        up=projection(up),
        down=projection(down),
        after_mlp=None,
    )
