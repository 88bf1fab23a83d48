"""Texts that follow grammars, beside others and with drafts: what they are and what they cost."""

import json
from dataclasses import replace
from functools import cache

import jsonschema
import pytest
import torch

from constraints.small_vocabularies import byte_tokenizer, spaced_tokenizer
from engine.conftest import WholeContextModel
from engine.toy_constraints import BreakingOff, Toy
from potstill.constraints.compile import GrammarCompiler
from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.engine.sampling import Filters, draw
from potstill.engine.stopping import WrittenText
from potstill.engine.uniforms import Uniforms
from potstill.errors import UsageError
from potstill.lm.constrained import ConstrainedModel
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.tokenization.streaming import TextStream
from potstill.types import Grammar, Phrase, SamplingParams, TextRequest

BYTES = byte_tokenizer()
VOCAB_SIZE = BYTES.vocab_size + 3
COMPILER = GrammarCompiler(BYTES, VOCAB_SIZE)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "is_open": {"type": "boolean"},
    },
    "required": ["name", "age", "is_open"],
    "additionalProperties": False,
}
GRAMMARS = [
    Grammar("json_schema", json.dumps(PERSON)),
    Grammar("regex", "(red|blue)(, (red|blue)){2,4}"),
    Grammar("choices", '["the red bridge", "the blue bridge", "no bridge"]'),
    Grammar("lark", 'start: "(" start ")" | "x" start | "end"'),
]


def new_generator(drafts=False, max_batch=8):
    decoder = Stateless(WholeContextModel(VOCAB_SIZE))
    drafter = PromptLookup(VOCAB_SIZE) if drafts else None
    params = EngineParams(max_batch=max_batch)
    # While the clock stands still all guesses are run.
    engine = Engine(decoder, params, BYTES.eos_ids, drafter, clock=lambda: 0.0)
    return EngineGenerator(engine, BYTES)


# One that was used writes what a new one writes; each new one starts a process to try grammars in.
generator = cache(new_generator)


def requests(**changes):
    sampling = SamplingParams(max_tokens=90, seed=3, **changes)
    grammars = [None, GRAMMARS[0], GRAMMARS[1], None, GRAMMARS[2], GRAMMARS[3], GRAMMARS[0]]
    return [
        TextRequest(f"Text {index}: ", replace(sampling, seed=index), grammar)
        for index, grammar in enumerate(grammars)
    ]


def written(writer, asked):
    """Completions by request; several of one request in their order."""
    found = sorted(writer.complete(asked), key=lambda one: (one[0], one[1].sample))
    return [completion for _, completion in found]


@pytest.mark.parametrize("changes", [{}, {"temperature": 0}, {"top_p": 0.8, "repetition_penalty": 1.2}])
def test_texts_without_a_grammar_are_the_same_beside_texts_with_one(changes):
    asked = requests(**changes)
    together = written(generator(), asked)
    for index in (0, 3):
        (alone,) = written(generator(), [asked[index]])
        assert together[index] == alone
        assert together[index].unmet == ()


@pytest.mark.parametrize("changes", [{}, {"temperature": 0}, {"temperature": 0.6, "top_k": 4}])
@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.kind)
def test_every_token_is_what_the_definition_draws(grammar, changes):
    """The model held to the grammar, with the same uniform number."""
    request = TextRequest("Here: ", SamplingParams(max_tokens=60, seed=5, **changes), grammar)
    (got,) = written(generator(), [request])
    definition = ConstrainedModel(WholeContextModel(VOCAB_SIZE), lambda: COMPILER.compile(grammar))
    prompt_ids, count = tuple(BYTES.encode(request.prompt)), len(got.token_ids)
    rows = definition.next_logprobs([Context(prompt_ids, got.token_ids[:end]) for end in range(count)])
    filters = Filters.of([request.sampling] * count, torch.device("cpu"))
    uniforms = torch.tensor([Uniforms(5).at(place) for place in range(count)], dtype=torch.float64)
    assert tuple(draw(torch.from_numpy(rows), filters, uniforms).token_ids.tolist()) == got.token_ids


@pytest.mark.parametrize("changes", [{}, {"temperature": 0}])
@pytest.mark.parametrize("max_batch", [1, 8])
def test_drafts_change_no_text_that_follows_a_grammar(changes, max_batch):
    plain = written(generator(max_batch=max_batch), requests(**changes))
    drafted = written(generator(drafts=True, max_batch=max_batch), requests(**changes))
    assert [one.token_ids for one in drafted] == [one.token_ids for one in plain]
    assert [one.unmet for one in drafted] == [one.unmet for one in plain]
    assert generator(drafts=True, max_batch=max_batch).engine.stats.num_tokens_drafted > 0


def test_what_ended_by_itself_is_valid_and_what_did_not_says_so():
    ended = 0
    for completion in written(
        generator(),
        [TextRequest("A", SamplingParams(max_tokens=70, seed=seed), GRAMMARS[0]) for seed in range(30)],
    ):
        if completion.finish_reason == "stop":
            jsonschema.validate(json.loads(completion.text), PERSON)
            assert completion.unmet == ()
            ended += 1
        else:
            assert completion.unmet == (
                "The text ends before the JSON schema allows it to; allow more tokens.",
            )
    assert ended > 5


def test_forced_tokens_take_no_step_of_their_own():
    writer = new_generator()
    choices = ["the red bridge is open again, the blue one is not", "no bridge has been open since the storm"]
    grammar = Grammar("choices", json.dumps(choices))
    request = TextRequest("A", SamplingParams(max_tokens=100, temperature=0, seed=1), grammar)
    (completion,) = written(writer, [request])
    stats = writer.engine.stats
    assert completion.finish_reason == "stop"
    assert stats.num_tokens_forced + stats.num_steps == len(completion.token_ids)
    assert completion.text in choices and stats.num_tokens_forced > 10


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.kind)
def test_a_beam_search_keeps_to_the_grammar(grammar):
    request = TextRequest("Go: ", SamplingParams(max_tokens=60, num_beams=4, n=3), grammar)
    for completion in written(generator(), [request]):
        constraint = COMPILER.compile(grammar)
        assert constraint.num_valid(completion.token_ids) == len(completion.token_ids)
        assert bool(completion.unmet) == (completion.finish_reason == "length")


def test_a_search_for_phrases_keeps_to_the_grammar_too():
    grammar = Grammar("choices", '["a red bridge", "a blue bridge", "no bridge at all", "a road"]')
    sampling = SamplingParams(max_tokens=40, num_beams=4)
    wanted = (Phrase("bridge"),), (Phrase("red", is_wanted=False),), (Phrase("no", is_wanted=False),)
    (completion,) = written(generator(), [TextRequest("Go: ", sampling, grammar, wanted)])
    assert (completion.text, completion.unmet) == ("a blue bridge", ())


def test_a_search_of_which_a_text_cannot_be_followed_ends_alone():
    decoder = Stateless(WholeContextModel())
    engine = Engine(decoder, EngineParams(), (7,))
    search = SamplingParams(max_tokens=12, num_beams=3)
    failed = engine.add([1], search, constraint=BreakingOff((7,)))
    others = [
        engine.add([1], search, constraint=Toy((7,))),
        engine.add([1], SamplingParams(max_tokens=12, seed=1), constraint=Toy((7,))),
    ]
    while engine.has_work:
        engine.step()
    assert isinstance(failed.error, UsageError)
    assert all(other.error is None and other.finish_reason for other in others)


def test_the_space_that_an_encoder_decoder_writes_first_is_no_part_of_its_text():
    tokenizer = spaced_tokenizer()
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, goes_on=False)
    choices = ["positive", "negative", "pos"]
    for choice in choices:
        constraint = compiler.compile(Grammar("choices", json.dumps(choices)))
        text = WrittenText(SamplingParams(), TextStream(tokenizer), goes_on=False)
        for token_id in tokenizer.encode(choice):
            constraint.take(token_id)
            text.push(token_id)
        assert text.cut(is_complete=True) == choice and constraint.unmet() == ()


def test_several_samples_of_a_prompt_each_follow_the_grammar():
    request = TextRequest("Go: ", SamplingParams(max_tokens=60, n=6, seed=2, temperature=5.0), GRAMMARS[2])
    texts = [completion.text for completion in written(generator(), [request])]
    assert set(texts) <= set(json.loads(GRAMMARS[2].source)) and len(set(texts)) > 1


def test_a_grammar_that_cannot_be_used_is_told_before_any_work():
    writer = new_generator()
    asked = [*requests()[:2], TextRequest("", SamplingParams(), Grammar("regex", "(a"))]
    with pytest.raises(UsageError, match="Request 2: The regular expression cannot be used: unclosed group"):
        writer.complete(asked)
    assert writer.engine.stats.num_steps == 0
