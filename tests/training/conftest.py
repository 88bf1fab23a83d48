"""A Gemma of a few thousand weights, and something it can learn in seconds."""

from collections.abc import Callable

import pytest
import torch

from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.tasks.example import Example

VOCAB_SIZE, BOS, EOS = 40, 0, 1


def tiny_decoder(seed: int = 0, *, tied: bool = True) -> Decoder:
    torch.manual_seed(seed)
    config = DecoderConfig(
        model_type="gemma3_text",
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        max_positions=128,
        norm_eps=1e-6,
        query_scale=8**-0.5,
        activation="gelu_pytorch_tanh",
        rope=RopeSettings(10_000.0),
        rope_local=RopeSettings(1_000.0),
        windows=(4, None),
        tied=tied,
    )
    decoder = Decoder(config)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.2 if parameter.dim() > 1 else 0.0))
    return decoder


def reversal_examples(count: int = 40, length: int = 3) -> list[Example]:
    """Say these tokens backwards: `length` ids of ten, then EOS."""
    generator = torch.Generator().manual_seed(11)
    examples = []
    for index in range(count):
        ids = torch.randint(2, 12, (length + index % 2,), generator=generator).tolist()
        examples.append(Example((BOS, *ids, 2), (*reversed(ids), EOS)))
    return examples


@pytest.fixture
def make_decoder() -> Callable[..., Decoder]:
    return tiny_decoder


@pytest.fixture
def examples() -> list[Example]:
    return reversal_examples()


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small gain nothing from threads, and neighbours' work then cannot slow them down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
