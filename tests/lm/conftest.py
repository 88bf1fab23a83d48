"""A Gemma with a BOS, a Llama without one and a T5, of a few thousand random weights."""

from typing import Literal

import pytest
import torch

from lm.random_t5 import random_t5
from potstill.layers.rope import RopeSettings
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.native_t5 import NativeT5Runner

VOCAB_SIZE = 61


def random_decoder(model_type: Literal["gemma3_text", "llama"]) -> Decoder:
    config = DecoderConfig(
        model_type=model_type,
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        max_positions=64,
        norm_eps=1e-6,
        query_scale=8**-0.5,
        activation="gelu_pytorch_tanh",
        rope=RopeSettings(10_000.0),
        rope_local=RopeSettings(1_000.0),
        windows=(5, None, 5) if model_type == "gemma3_text" else (None,) * 3,
        tied=True,
    )
    decoder = Decoder(config)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return decoder.eval()


@pytest.fixture
def gemma() -> NeuralDecoder:
    return NeuralDecoder(random_decoder("gemma3_text"), bos_id=2, kv_bytes=1 << 20, block_size=4)


@pytest.fixture
def llama() -> NeuralDecoder:
    return NeuralDecoder(random_decoder("llama"), bos_id=None, kv_bytes=1 << 20, block_size=4)


@pytest.fixture
def t5() -> EncoderDecoder:
    return EncoderDecoder(random_t5(), kv_bytes=1 << 20, block_size=4)


@pytest.fixture
def native_t5() -> EncoderDecoder:
    return EncoderDecoder(NativeT5Runner.of(random_t5(), "fp32"), kv_bytes=1 << 20, block_size=4)
