"""What a step of a model takes: bytes to be read, products to be summed. Counted, not measured."""

from typing import NamedTuple

from potstill.models.config import DecoderConfig
from potstill.models.t5_config import T5Config


class ModelCost(NamedTuple):
    """Of one model. A product and its addition count as two FLOP.

    weight_bytes        read in every step: without an encoder's, and without an embedding of which only some
                        rows are
    position_flops      for a position that is run, attention and head apart
    pair_flops          for a position that looks at another one (or itself), in all layers; a layer's window
                        is not counted, so where there is one this is the most it can be
    head_flops          for a row of logits
    kv_bytes            of a position's keys and values, or of a prompt's token that an encoder has read:
                        written once, then read in every step
    encoded_flops       for a prompt's token that an encoder reads, what the decoder makes of it included
    encoded_pair_flops  for a token that looks at another one there
    """

    weight_bytes: int
    position_flops: int
    pair_flops: int
    head_flops: int
    kv_bytes: int
    encoded_flops: int = 0
    encoded_pair_flops: int = 0


def kv_values(num_layers: int, num_kv_heads: int, head_dim: int, num_positions: int = 1) -> int:
    """Numbers that the keys and values of so many positions are."""
    return 2 * num_layers * num_kv_heads * head_dim * num_positions


def cost_of(config: DecoderConfig | T5Config, *, weight_bytes: int, bytes_per_kv_value: int) -> ModelCost:
    """`weight_bytes` is the memory of all weights, as a runner tells it."""
    if isinstance(config, T5Config):
        return _cost_of_t5(config, weight_bytes, bytes_per_kv_value)
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


def _cost_of_t5(config: T5Config, weight_bytes: int, bytes_per_kv_value: int) -> ModelCost:
    size, heads = config.d_model, config.num_heads * config.d_kv
    feed_forward = (3 if config.is_gated else 2) * config.d_ff * size
    encoder = config.num_layers * (4 * heads * size + feed_forward)
    # Of the decoder's look at the prompt, queries and output are a step's, keys and values the prompt's.
    decoder = config.num_decoder_layers * (6 * heads * size + feed_forward)
    prompt = config.num_decoder_layers * 2 * heads * size
    head = config.vocab_size * size
    all_weights = encoder + decoder + prompt + head * (1 if config.is_tied else 2)
    return ModelCost(
        weight_bytes=round(weight_bytes * (decoder + head) / all_weights),
        position_flops=2 * decoder,
        pair_flops=4 * config.num_decoder_layers * heads,
        head_flops=2 * head,
        kv_bytes=kv_values(config.num_decoder_layers, config.num_heads, config.d_kv) * bytes_per_kv_value,
        encoded_flops=2 * (encoder + prompt),
        encoded_pair_flops=4 * config.num_layers * heads,
    )
