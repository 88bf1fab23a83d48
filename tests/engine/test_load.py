import pytest

from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.hub.resolve import resolve
from potstill.progress import Silent
from potstill.types import SamplingParams, TextRequest


@pytest.mark.weights
def test_the_embedded_model_goes_on_from_a_prompt():
    path = resolve("gemma-3-270m", progress=Silent()).path
    generator = load_generator(path, dtype="bf16", device="cpu", params=EngineParams(kv_bytes=16 << 20))
    request = TextRequest("One, two, three, four,", SamplingParams(temperature=0, max_tokens=6))
    # Equal prompts in one batch share their first block and must agree all the same.
    texts = [done.text for _, done in generator.complete([request, request, request])]
    assert texts[0].startswith(" five, six") and len(set(texts)) == 1
