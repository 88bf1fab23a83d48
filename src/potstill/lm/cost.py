"""What a step of a decoder takes: bytes to be read, products to be summed. Counted, not measured."""

from typing import NamedTuple

from potstill.models.config import DecoderConfig


class ModelCost(NamedTuple):
    """Of one decoder. A product and its addition count as two FLOP.

    weight_bytes    read in every step: all weights, without an embedding of which only some rows are
    position_flops  for a position that is run, attention and head apart
    pair_flops      for a position that looks at another one (or itself), in all layers; a layer's window is
                    not counted, so where there is one this is the most it can be
    head_flops      for a row of logits
    kv_bytes        of a position's keys and values: written once, then read in every step
    """

    weight_bytes: int
    position_flops: int
    pair_flops: int
    head_flops: int
    kv_bytes: int


def kv_values(num_layers: int, num_kv_heads: int, head_dim: int, num_positions: int = 1) -> int:
    """Numbers that the keys and values of so many positions are."""
    return 2 * num_layers * num_kv_heads * head_dim * num_positions


def cost_of(config: DecoderConfig, *, weight_bytes: int, bytes_per_kv_value: int) -> ModelCost:
    """`weight_bytes` is the memory of all weights, as a runner tells it."""
    body = config.num_layers * _layer_weights(config)
    embedding = config.vocab_size * config.hidden_size
    all_weights = body + embedding * (1 if config.tied else 2)
    return ModelCost(
        weight_bytes=weight_bytes if config.tied else round(weight_bytes * (1 - embedding / all_weights)),
        position_flops=2 * body,
        # Scores and the weighted sum of the values: two products for each number of each query head.
        pair_flops=4 * config.num_layers * config.num_heads * config.head_dim,
        head_flops=2 * embedding,
        kv_bytes=kv_values(config.num_layers, config.num_kv_heads, config.head_dim) * bytes_per_kv_value,
    )


def _layer_weights(config: DecoderConfig) -> int:
    """Numbers in a layer's matrices; norms and biases are too few to matter."""
    heads = 2 * config.num_heads + 2 * config.num_kv_heads
    num_matrices = 3 if config.family.is_gated else 2
    attention = heads * config.head_dim * config.hidden_size
    return attention + num_matrices * config.intermediate_size * config.hidden_size
