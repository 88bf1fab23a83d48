"""What of a request's grammar is told of its texts, and which texts fail with it."""

import json

import pytest

from constraints.small_vocabularies import byte_tokenizer
from engine.conftest import WholeContextModel
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.stateless import Stateless
from potstill.types import Grammar, SamplingParams, TextRequest

BYTES = byte_tokenizer()
CUT_OFF = ("What is left of the text where its end was cut off is not what the list of choices allows.",)


@pytest.fixture(scope="module")
def writer():
    engine = Engine(Stateless(WholeContextModel(BYTES.vocab_size)), EngineParams(), BYTES.eos_ids)
    return EngineGenerator(engine, BYTES)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize(
    ("choices", "ends", "left", "unmet"),
    [
        (["abc"], {"stop": ("c",)}, "ab", CUT_OFF),
        (["abc", "ab"], {"stop": ("c",)}, "ab", ()),
        (["abcd", "ab"], {"stop": ("c",)}, "ab", ()),
        (["It is so. We go on."], {"stop_at_first_sentence": True}, "It is so.", CUT_OFF),
        (["It is so."], {"stop_at_first_sentence": True}, "It is so.", ()),
    ],
)
def test_what_is_left_of_a_text_is_held_to_its_grammar_and_not_what_was_cut_off(
    choices, ends, left, unmet, num_beams, writer
):
    sampling = SamplingParams(max_tokens=60, num_beams=num_beams, **ends)
    request = TextRequest("Here: ", sampling, Grammar("choices", json.dumps(choices)))
    ((_, one),) = writer.complete([request])
    assert (one.text, one.unmet) == (left, unmet)


def test_a_grammar_that_can_be_used_no_more_takes_no_other_text_along(monkeypatch, writer):
    sampling = SamplingParams(max_tokens=20, temperature=0)
    grammars = [Grammar("regex", "a{3}"), Grammar("regex", "b{3}"), None]
    found = writer.complete([TextRequest("Go: ", sampling, grammar) for grammar in grammars])
    constraint = writer._grammars.constraint

    def refuse_one(grammar):
        if grammar == grammars[1]:
            raise UsageError("Its process is gone.")
        return constraint(grammar)

    monkeypatch.setattr(writer._grammars, "constraint", refuse_one)
    assert {next(found)[0], next(found)[0]} == {0, 2}
    with pytest.raises(UsageError, match="Request 1: Its process is gone"):
        next(found)


def test_where_none_of_a_batch_can_be_begun_the_next_are_written_all_the_same(monkeypatch, writer):
    grammar = Grammar("regex", "a{3}")
    sampling = SamplingParams(max_tokens=20)
    requests = [TextRequest("Go: ", sampling, grammar)] * 40 + [TextRequest("Go: ", sampling)]
    found = writer.complete(requests)

    def refuse(grammar):
        raise UsageError("Its process is gone.")

    monkeypatch.setattr(writer._grammars, "constraint", refuse)
    assert next(found)[0] == 40
    with pytest.raises(UsageError, match="Request 0: Its process is gone. The same goes for 39 more"):
        next(found)
