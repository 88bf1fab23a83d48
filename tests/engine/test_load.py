import pytest

from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.hub.resolve import resolve
from potstill.progress import Silent
from potstill.types import SamplingParams, TextRequest


@pytest.fixture(scope="module")
def generator() -> EngineGenerator:
    path = resolve("gemma-3-270m", progress=Silent()).path
    return load_generator(path, dtype="bf16", device="cpu", params=EngineParams(kv_bytes=16 << 20))


@pytest.mark.weights
def test_the_embedded_model_goes_on_from_a_prompt(generator):
    request = TextRequest("One, two, three, four,", SamplingParams(temperature=0, max_tokens=6))
    # Equal prompts in one batch share their first block and must agree all the same.
    texts = [done.text for _, done in generator.complete([request, request, request])]
    assert texts[0].startswith(" five, six") and len(set(texts)) == 1


@pytest.mark.weights
def test_a_seed_gives_the_embedded_model_the_same_text_alone_and_in_a_batch(generator):
    prompts = ("The city council said on Monday that", "In the second half", "He was born in")
    requests = [TextRequest(text, SamplingParams(max_tokens=12, seed=7)) for text in prompts]
    texts = []
    for max_batch in (1, 3):
        params = EngineParams(kv_bytes=16 << 20, max_batch=max_batch)
        engine = Engine(generator.engine.decoder, params, generator.tokenizer.eos_ids)
        completions = EngineGenerator(engine, generator.tokenizer).complete(requests)
        texts.append({index: done.token_ids for index, done in completions})
    assert texts[0] == texts[1]
