from dataclasses import replace

import pytest

from engine.tiny_decoder import tiny_decoder
from lm.random_t5 import T5_CONFIG
from potstill.engine import bench
from potstill.engine.bench import Bench
from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.models.t5 import T5
from potstill.peaks import MachinePeaks

PEAKS = MachinePeaks(1, 1e9, {"fp32": 1e9, "bf16": 2e9, "int8": 3e9})


def model(kv_bytes=1 << 20, **changes):
    return NeuralDecoder(tiny_decoder(**changes), bos_id=2, kv_bytes=kv_bytes, block_size=4)


def test_writing_and_reading_are_measured_and_set_beside_the_peaks():
    measured = Bench(model(), "fp32", PEAKS, budget_s=0.02).run()
    assert [rate.num_streams for rate in measured.decode] == [1, 8]
    for rate in (*measured.decode, measured.prefill):
        assert rate.tokens_per_s > 0
        assert rate.speed.bandwidth_share == pytest.approx(rate.speed.bytes_per_s / 1e9)
        assert rate.speed.flops_share == pytest.approx(rate.speed.flops_per_s / 1e9)
    # Weights are read once a token of a lone text, and keys and values beside them.
    alone = measured.decode[0]
    assert alone.speed.bytes_per_s > alone.tokens_per_s * measured.cost.weight_bytes
    assert alone.speed.bytes_per_s < alone.tokens_per_s * 1.5 * measured.cost.weight_bytes


def test_a_t5_is_measured_too():
    t5 = T5(replace(T5_CONFIG, is_tied=False)).eval()
    model = EncoderDecoder(t5, kv_bytes=1 << 20, block_size=4)
    measured = Bench(model, "fp32", PEAKS, budget_s=0.02).run()
    assert measured.prefill.tokens_per_s > measured.decode[0].tokens_per_s > 0
    step = [
        weight.numel() * 4
        for name, weight in t5.named_parameters()
        if name.startswith(("decoder", "lm_head"))
        and not name.endswith(("EncDecAttention.k.weight", "EncDecAttention.v.weight"))
    ]
    assert measured.cost.weight_bytes == pytest.approx(sum(step), rel=0.02)


def test_a_model_with_a_small_context_is_measured_within_it():
    assert Bench(model(max_positions=20), "fp32", PEAKS, budget_s=0.01).run().prefill.tokens_per_s > 0
    with pytest.raises(UsageError, match="has 8 positions"):
        Bench(model(max_positions=8), "fp32", PEAKS).run()


def test_a_cache_too_small_to_write_in_is_refused_with_its_room():
    block_bytes = model(kv_bytes=512).cache_bytes
    assert Bench(model(kv_bytes=8 * block_bytes), "fp32", PEAKS, budget_s=0.01).run().decode
    with pytest.raises(UsageError, match="room for 1 tokens in each of 8 texts"):
        Bench(model(kv_bytes=4 * block_bytes), "fp32", PEAKS).run()


def test_a_large_model_takes_longer_and_is_told_to():
    assert bench.estimate_s(300 << 20) < 20
    assert bench.estimate_s(16 << 30) > 60
