from dataclasses import replace

import pytest

from potstill.lm.cost import cost_of, kv_values
from potstill.models.decoder import Decoder
from potstill.models.runner import TorchRunner


def test_the_cache_of_gpt2_at_a_thousand_tokens():
    values = kv_values(num_layers=12, num_kv_heads=12, head_dim=64, num_positions=1000)
    assert values == 18_432_000
    assert values * 4 == pytest.approx(73.7e6, rel=1e-3)
    assert kv_values(num_layers=12, num_kv_heads=1, head_dim=64, num_positions=1000) == 1_536_000


def test_what_a_position_costs_is_what_the_matrices_hold(gemma, llama):
    for model in (gemma, llama):
        config, decoder = model.decoder.config, model.decoder
        cost = cost_of(config, weight_bytes=TorchRunner(decoder).weight_bytes, bytes_per_kv_value=4)
        matrices = sum(
            weight.numel()
            for name, weight in decoder.named_parameters()
            if weight.dim() == 2 and "embed" not in name and "lm_head" not in name
        )
        assert cost.position_flops == 2 * matrices
        assert cost.head_flops == 2 * config.vocab_size * config.hidden_size
        assert cost.kv_bytes * model.block_size * model.num_blocks == model.cache_bytes


def test_an_embedding_that_is_not_the_head_is_not_read_whole(llama):
    decoder = Decoder(replace(llama.decoder.config, tied=False))
    cost = cost_of(decoder.config, weight_bytes=TorchRunner(decoder).weight_bytes, bytes_per_kv_value=4)
    read = sum(4 * weight.numel() for name, weight in decoder.named_parameters() if "embed" not in name)
    assert cost.weight_bytes == pytest.approx(read, rel=0.02)
