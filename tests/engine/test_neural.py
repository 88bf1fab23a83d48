"""The engine over a neural decoder of random weights, in float32."""

import random

import pytest
import torch

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.layers.rope import RopeSettings
from potstill.lm.decoder import NeuralDecoder, bytes_per_position
from potstill.lm.stateless import Stateless
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.native_decoder import NativeRunner
from potstill.types import SamplingParams


@pytest.fixture
def model() -> NeuralDecoder:
    config = DecoderConfig(
        model_type="gemma3_text",
        vocab_size=80,
        hidden_size=32,
        intermediate_size=48,
        num_layers=2,
        num_heads=4,
        num_kv_heads=1,
        head_dim=8,
        max_positions=128,
        norm_eps=1e-6,
        query_scale=8**-0.5,
        activation="gelu_pytorch_tanh",
        rope=RopeSettings(10_000.0),
        rope_local=RopeSettings(1_000.0),
        windows=(6, None),
        tied=True,
    )
    torch.manual_seed(3)
    decoder = Decoder(config)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return NeuralDecoder(decoder.eval(), bos_id=1, kv_bytes=256 << 10, block_size=4)


def some_requests():
    rng = random.Random(8)
    shared = tuple(rng.randrange(80) for _ in range(13))
    for seed in range(12):
        own = tuple(rng.randrange(80) for _ in range(rng.randrange(5)))
        yield (
            shared + own,
            SamplingParams(max_tokens=rng.randrange(1, 14), temperature=seed % 3 * 0.6, top_p=0.9, seed=seed),
        )


def outputs(decoder, max_batch):
    engine = Engine(decoder, EngineParams(max_batch=max_batch))
    sequences = [engine.add(*asked) for asked in some_requests()]
    while engine.has_work:
        engine.step()
    return [(sequence.output_ids, pytest.approx(sequence.logprob, abs=1e-2)) for sequence in sequences]


@pytest.mark.parametrize("max_batch", [1, 5, 12])
def test_a_batch_with_cache_and_sharing_writes_what_the_definition_writes(model, max_batch):
    assert outputs(model, max_batch) == outputs(Stateless(model), 1)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
def test_packed_weights_write_the_same_to_the_last_bit_however_a_step_is_made_up(model, kind):
    """Alone, in a batch, in pieces, put out for want of blocks: no row's numbers depend on it."""
    runner = NativeRunner.of(model.decoder, kind)
    block_bytes = 4 * bytes_per_position(runner)
    found = []
    for max_batch, max_step_tokens, num_blocks in ((1, 2048, 400), (12, 2048, 400), (5, 7, 400), (8, 9, 12)):
        decoder = NeuralDecoder(runner, bos_id=1, kv_bytes=num_blocks * block_bytes, block_size=4)
        engine = Engine(decoder, EngineParams(max_batch=max_batch, max_step_tokens=max_step_tokens))
        sequences = [engine.add(*asked) for asked in some_requests()]
        while engine.has_work:
            engine.step()
        assert (engine.stats.num_preemptions > 0) == (num_blocks == 12)
        found.append([(sequence.output_ids, sequence.logprob) for sequence in sequences])
    assert found[0] == found[1] == found[2] == found[3]
