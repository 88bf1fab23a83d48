"""Gemma in eight bits drafts for Gemma in bfloat16."""

import pytest

from potstill.engine.drafts.decoder_draft import DecoderDraft
from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import ModelMissing
from potstill.hub.resolve import resolve
from potstill.lm.load import load_lm
from potstill.progress import Silent
from potstill.types import SamplingParams

PROMPTS = (
    "The city council said on Monday that",
    "def add(a, b):\n    return",
    "1, 2, 3, 4, 1, 2, 3, 4, 1, 2,",
)


@pytest.mark.weights
@pytest.mark.slow
def test_most_of_what_eight_bits_draft_is_kept_and_texts_stay_the_same():
    try:
        path = resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))
    params = EngineParams(kv_bytes=32 << 20)
    target, tokenizer = load_lm(path, dtype="bf16", device="cpu", params=params)
    model, _ = load_lm(path, dtype="int8", device="cpu", params=params)
    inner = PromptLookup(model.vocab_size)
    found = []
    for drafter in (None, DecoderDraft(model, params), DecoderDraft(model, params, inner)):
        engine = Engine(target, params, tokenizer.eos_ids, drafter, clock=lambda: 0.0)
        sequences = [
            engine.add(tokenizer.encode(prompt), SamplingParams(max_tokens=24, temperature=at % 2 * 0.8))
            for at, prompt in enumerate(PROMPTS)
        ]
        while engine.has_work:
            engine.step()
        found.append([(one.output_ids, one.finish_reason) for one in sequences])
        assert drafter is None or engine.stats.acceptance_rate > 0.8
    assert found[0] == found[1] == found[2]
