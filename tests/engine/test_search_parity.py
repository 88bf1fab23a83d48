"""Beam search beside transformers' own, over the same random weights: the same texts with the same scores."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.t5_reference import saved_t5
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.models.load import load_decoder
from potstill.models.load_t5 import load_t5
from potstill.models.native_decoder import NativeRunner
from potstill.models.native_t5 import NativeT5Runner
from potstill.types import SamplingParams

EOS = 1
PROMPTS = [[5, 17, 80, 3], [44, 9], [7, 7, 7, 60, 21, 33, 90, 12, 2]]
SEARCHES = [
    {},
    {"early_stopping": True},
    {"length_penalty": 2.0},
    {"length_penalty": 0.0, "num_beams": 3},
]
# Theirs counts the n-grams of a decoder's prompt too.
T5_SEARCHES = [*SEARCHES, {"no_repeat_ngram_size": 2}]


def their_texts(model: Any, prompt: list[int], **settings: Any) -> list[tuple[list[int], float]]:
    """(tokens after the prompt without padding, score), the best first."""
    num_beams = settings.pop("num_beams", 4)
    done = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        num_beams=num_beams,
        num_return_sequences=num_beams,
        max_new_tokens=14,
        do_sample=False,
        eos_token_id=EOS,
        pad_token_id=0,
        output_scores=True,
        # Their cache has a layer for each of the encoder's, and this T5's decoder has more.
        use_cache=False,
        return_dict_in_generate=True,
        **settings,
    )
    start = 1 if model.config.is_encoder_decoder else len(prompt)
    texts = []
    for ids, score in zip(done.sequences[:, start:].tolist(), done.sequences_scores.tolist(), strict=True):
        texts.append((ids[: ids.index(EOS) + 1] if EOS in ids else ids, score))
    return texts


def assert_equal_searches(model: Any, engine: Engine, settings: dict[str, Any]) -> set[int]:
    """All prompts at once here, one by one there; the lengths of the texts."""
    params = SamplingParams(**{"num_beams": 4, "max_tokens": 14, **settings})
    params = SamplingParams(**{"num_beams": 4, "max_tokens": 14, "n": params.num_beams, **settings})
    asked = [engine.add(prompt, params) for prompt in PROMPTS]
    while engine.has_work:
        engine.step()
    for sequence, prompt in zip(asked, PROMPTS, strict=True):
        want = their_texts(model, prompt, **settings)
        got = (sequence, *sequence.others)
        assert [one.output_ids for one in got] == [ids for ids, _ in want]
        assert [one.score for one in got] == pytest.approx([score for _, score in want], abs=1e-4)
    return {len(one.output_ids) for sequence in asked for one in (sequence, *sequence.others)}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    config = transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=EOS,
        attn_implementation="eager",
    )
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config).float().eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    # An end is not too seldom, so that searches settle before max_tokens as well.
    model.lm_head.weight.data[EOS] *= 3
    folder = tmp_path_factory.mktemp("llama")
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.parametrize("settings", SEARCHES, ids=str)
def test_a_llama_is_searched_as_transformers_search_it(
    llama: tuple[Any, Path], settings: dict[str, Any]
) -> None:
    model, folder = llama
    decoder = NeuralDecoder(
        load_decoder(folder, dtype=torch.float32), bos_id=None, kv_bytes=1 << 20, block_size=4
    )
    lengths = assert_equal_searches(model, Engine(decoder, EngineParams(), [EOS]), settings)
    assert settings or min(lengths) < max(lengths)


@pytest.mark.parametrize("settings", T5_SEARCHES, ids=str)
def test_a_t5_is_searched_as_transformers_search_it(settings: dict[str, Any], tmp_path: Path) -> None:
    model = saved_t5("flan-t5", tmp_path / "t5")
    decoder = EncoderDecoder(load_t5(tmp_path / "t5", dtype=torch.float32), kv_bytes=1 << 20, block_size=4)
    engine = Engine(decoder, EngineParams(), [EOS])
    assert_equal_searches(model, engine, settings)
    assert engine.stats.num_positions_encoded == sum(map(len, PROMPTS))


def test_the_native_runners_search_alike(llama: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = llama
    runner = NativeRunner.of(load_decoder(folder, dtype=torch.float32), "fp32")
    decoder = NeuralDecoder(runner, bos_id=None, kv_bytes=1 << 20, block_size=4)
    assert_equal_searches(model, Engine(decoder, EngineParams(), [EOS]), {})
    model = saved_t5("t5", tmp_path / "t5")
    t5 = NativeT5Runner.of(load_t5(tmp_path / "t5", dtype=torch.float32), "fp32")
    t5_decoder = EncoderDecoder(t5, kv_bytes=1 << 20, block_size=4)
    assert_equal_searches(model, Engine(t5_decoder, EngineParams(), [EOS]), {})
