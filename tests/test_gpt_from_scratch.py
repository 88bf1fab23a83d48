"""The GPT of docs/gpt_from_scratch.md is the one of models/gpt2: the page's code runs as it stands."""

from typing import Any

import numpy as np
import pytest
import torch

from pages import Page
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.layers.attention import PackedAttention
from potstill.lm.decoder import NeuralDecoder
from potstill.models.decoder import Decoder
from potstill.models.hf_config import config_from_json
from potstill.types import SamplingParams
from source_tree import ROOT

PAGE = Page(ROOT / "docs" / "gpt_from_scratch.md")
CONFIG = {"model_type": "gpt2", "vocab_size": 90, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 80}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's code defines."""
    code = "\n".join(block.text for block in PAGE.blocks if block.language == "python")
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE.path), "exec"), names)
    return names


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(7)
    decoder = Decoder(config_from_json(CONFIG, "config.json")).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return decoder


@pytest.fixture(scope="module")
def model(page: dict[str, Any], decoder: Decoder) -> Any:
    weights = {name: tensor.detach().numpy() for name, tensor in decoder.body.named_parameters()}
    return page["GPT"](weights, num_layers=3, num_heads=4)


def test_the_pages_logits_are_those_of_gpt2(model: Any, decoder: Decoder) -> None:
    ids = list(range(3, 43))
    with torch.inference_mode():
        expected = decoder.logits(decoder(torch.tensor(ids), PackedAttention([len(ids)])))
    assert expected.std() > 0.1
    np.testing.assert_allclose(model.logits(ids), expected.numpy(), atol=1e-4, rtol=0)


def test_the_pages_greedy_text_is_the_engines(page: dict[str, Any], model: Any, decoder: Decoder) -> None:
    engine = Engine(NeuralDecoder(decoder, bos_id=None, kv_bytes=1 << 20), EngineParams())
    sequence = engine.add([5, 6, 7], SamplingParams(max_tokens=64, temperature=0.0))
    while engine.has_work:
        engine.step()
    assert page["generate"](model, [5, 6, 7], 64, temperature=0)[3:] == list(sequence.output_ids)


def test_the_page_draws_from_the_smallest_set_that_reaches_top_p(page: dict[str, Any]) -> None:
    logits = np.log([0.1, 0.5, 0.15, 0.25])
    generator = np.random.default_rng(3)
    drawn = [page["sample"](logits, generator, temperature=1.0, top_p=0.7) for _ in range(3000)]
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, [0, 2 / 3, 0, 1 / 3], atol=0.04)


def test_the_page_is_about_sixty_lines_of_code() -> None:
    lines = [line for block in PAGE.blocks if block.language == "python" for line in block.text.splitlines()]
    assert 50 <= len(lines) <= 70
