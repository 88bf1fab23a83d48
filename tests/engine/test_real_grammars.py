"""The embedded model, held to schemas, with drafts and without."""

import json
import random
from time import perf_counter

import jsonschema
import numpy as np
import pytest

from potstill.constraints.compile import GrammarCompiler
from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.errors import ModelMissing, UsageError
from potstill.hub.resolve import resolve
from potstill.progress import Silent
from potstill.types import Grammar, SamplingParams, TextRequest

SCHEMAS = [
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "people": {"type": "integer", "minimum": 0, "maximum": 99_999_999},
        },
        "required": ["city", "people"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 1, "maxItems": 4},
    {"type": "string", "pattern": "^[A-Z][a-z]{1,10}( [A-Z][a-z]{1,10})?$"},
    {"type": "integer", "minimum": 0, "maximum": 100},
    {
        "type": "object",
        "properties": {"is_open": {"type": "boolean"}, "since": {"type": "string", "format": "date"}},
        "required": ["is_open", "since"],
        "additionalProperties": False,
    },
]


@pytest.fixture(scope="module")
def loaded():
    try:
        path = resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))
    return load_generator(path, dtype="bf16", device="cpu", params=EngineParams(kv_bytes=16 << 20))


def written(loaded, drafter=None):
    decoder = loaded.engine.decoder
    engine = Engine(decoder, EngineParams(kv_bytes=16 << 20), loaded.tokenizer.eos_ids, drafter)
    requests = [
        TextRequest(
            f'Paris, France, as JSON (schema {index}): {{"city": "Paris"}} ',
            SamplingParams(temperature=temperature, max_tokens=40, seed=index),
            Grammar("json_schema", json.dumps(schema)),
        )
        for temperature in (0, 1)
        for index, schema in enumerate(SCHEMAS)
    ]
    requests.append(TextRequest("One, two, three, four,", SamplingParams(temperature=0, max_tokens=6)))
    found = dict(EngineGenerator(engine, loaded.tokenizer).complete(requests))
    return [found[index] for index in range(len(requests))]


@pytest.mark.weights
def test_the_embedded_model_writes_what_each_schema_says_with_drafts_and_without(loaded):
    plain = written(loaded)
    for schema, completion in zip(SCHEMAS * 2, plain, strict=False):
        assert completion.finish_reason == "stop" and completion.unmet == ()
        jsonschema.validate(json.loads(completion.text), schema)
    assert plain[-1].text.startswith(" five, six")
    drafted = written(loaded, PromptLookup(loaded.engine.decoder.vocab_size))
    assert [one.token_ids for one in drafted] == [one.token_ids for one in plain]


@pytest.mark.weights
def test_a_rule_that_can_be_read_in_ever_more_ways_is_given_up_before_its_masks_hold_up_others(loaded):
    compiler = GrammarCompiler(loaded.tokenizer, loaded.engine.decoder.vocab_size)
    text = compiler.compile(Grammar("lark", "start: e\ne: e e | /./"))
    rng, started = random.Random(1), perf_counter()
    with pytest.raises(UsageError, match="cannot be followed"):
        for _ in range(40):
            allowed = np.unpackbits(text.allowed().view(np.uint8), bitorder="little")
            text.take(rng.choice([token for token in np.flatnonzero(allowed).tolist() if token > 255]))
    assert perf_counter() - started < 8
