"""The engine over a T5 of random weights, in float32."""

import random
from pathlib import Path

import pytest
import torch

from lm.random_t5 import random_t5
from models.t5_reference import saved_t5
from potstill.engine.engine import Engine
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.stateless import Stateless
from potstill.types import SamplingParams, TextRequest
from tokenization.small_tokenizers import LINES, write_tokenizer


def some_requests():
    rng = random.Random(8)
    prompts = [tuple(rng.randrange(2, 61) for _ in range(rng.randrange(1, 14))) + (1,) for _ in range(5)]
    for seed in range(12):
        yield (
            prompts[seed % 5],
            SamplingParams(max_tokens=rng.randrange(1, 14), temperature=seed % 3 * 0.6, top_p=0.9, seed=seed),
        )


def outputs(decoder, **params):
    engine = Engine(decoder, EngineParams(**params))
    sequences = [engine.add(*asked) for asked in some_requests()]
    while engine.has_work:
        engine.step()
    return [(sequence.output_ids, pytest.approx(sequence.logprob, abs=1e-2)) for sequence in sequences]


@pytest.mark.parametrize(
    ("kv_bytes", "params"),
    [
        (1 << 20, {"max_batch": 1}),
        (1 << 20, {"max_batch": 12}),
        # A dozen blocks, so texts are put out and taken up again; and a budget smaller than a prompt.
        (12 * 4 * 768, {"max_batch": 5, "max_step_tokens": 8}),
    ],
)
def test_a_batch_with_cache_and_sharing_writes_what_the_definition_writes(kv_bytes, params):
    model = EncoderDecoder(random_t5(), kv_bytes=kv_bytes, block_size=4)
    assert outputs(model, **params) == outputs(Stateless(model), max_batch=1)


def test_a_folder_with_a_t5_writes_texts_as_transformers_does(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    model = saved_t5("flan-t5", tmp_path)
    write_tokenizer("unigram", tmp_path, vocab_size=80)
    generator = load_generator(tmp_path, dtype="fp32", device="cpu", params=EngineParams(kv_bytes=1 << 20))
    sampling = SamplingParams(temperature=0, max_tokens=20)
    found = dict(generator.complete([TextRequest(line, sampling) for line in LINES]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for index, line in enumerate(LINES):
        inputs = tokenizer(line, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            expected = model.generate(
                **inputs, max_new_tokens=20, do_sample=False, use_cache=False, eos_token_id=1, pad_token_id=0
            )[0, 1:]
        assert list(found[index].token_ids) == expected.tolist()
