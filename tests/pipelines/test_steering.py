import json
from pathlib import Path

import pytest

import potstill
from potstill.errors import UsageError
from potstill.pipelines.steering import Unmet, steering_of
from potstill.types import Grammar, Phrase, SamplingParams


@pytest.mark.parametrize(
    ("arguments", "grammar"),
    [
        ({}, None),
        ({"regex": "a|b"}, Grammar("regex", "a|b")),
        ({"choices": ["a", "b"]}, Grammar("choices", '["a", "b"]')),
        ({"json_schema": {"type": "object"}}, Grammar("json_schema", '{"type": "object"}')),
        ({"json_schema": "{}"}, Grammar("json_schema", "{}")),
        ({"grammar": 'start: "a"'}, Grammar("lark", 'start: "a"')),
        ({"grammar": Grammar("regex", "a")}, Grammar("regex", "a")),
    ],
)
def test_a_grammar_is_named_by_its_kind(arguments, grammar) -> None:
    assert steering_of(arguments).grammar == grammar


@pytest.mark.parametrize(
    ("prompt", "goes_on", "choices"),
    [("A:", True, [" a", " b"]), ("A: ", True, ["a", "b"]), ("A:", False, ["a", "b"])],
)
def test_a_choice_comes_after_a_space_where_it_goes_on_from_a_word(prompt, goes_on, choices) -> None:
    steering = steering_of({"choices": ["a", "b"]})
    request = steering.request(prompt, SamplingParams(), goes_on=goes_on)
    assert request.grammar == Grammar("choices", json.dumps(choices))


def test_phrases_are_clauses_and_of_a_list_in_the_list_one_will_do() -> None:
    clauses = steering_of({"contains": ["a", ["b", "c"]], "avoids": "d"}).clauses
    assert clauses == ((Phrase("a"),), (Phrase("b"), Phrase("c")), (Phrase("d", is_wanted=False),))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"regex": "a", "choices": ["b"]}, "Drop one of them"),
        ({"choices": "ab"}, "choices is 'ab'"),
        ({"choices": ["a", 3]}, "each must be a text"),
        ({"regex": 3}, "regex is 3"),
        ({"contains": [3]}, "3 is no phrase"),
        ({"avoids": [" "]}, "no phrase"),
        ({"contains": ["a"], "do_sample": True}, "drawing is no search"),
    ],
)
def test_what_is_no_grammar_or_phrase_is_refused(arguments, said) -> None:
    with pytest.raises(UsageError, match=said):
        steering_of(arguments)


@pytest.mark.parametrize("source", ["yes", "3", "[3]", "[" * 200_000])
def test_choices_that_are_none_are_refused_where_a_space_would_come_before_them(source) -> None:
    steering = steering_of({"grammar": Grammar("choices", source)})
    with pytest.raises(UsageError, match="choices"):
        steering.request("A:", SamplingParams(), goes_on=True)


def test_texts_meet_what_they_are_held_to_or_say_what_they_do_not_meet(decoder: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["cat", "dog"]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    with potstill.pipeline("text2text-generation", model=decoder, device="cpu", max_new_tokens=40) as made:
        (chosen,) = made("The", choices=["cat", "dog"])
        assert chosen["generated_text"] in ("cat", "dog")
        (table,) = made("The", json_schema=schema)
        assert json.loads(table["generated_text"])["a"] in ("cat", "dog")
        (held,) = made("The", contains=["cat"], max_new_tokens=20)
        assert "cat" in held["generated_text"] and "unmet" not in held
        (short,) = made("The", regex="[a-z]{30}", max_new_tokens=2)
        assert short["unmet"]
        with pytest.warns(Unmet, match="ends before the regular expression allows it"):
            assert "".join(made("The", regex="[a-z]{30}", max_new_tokens=2, stream=True))
        assert "".join(made("The", choices=["cat", "dog"], stream=True)) == chosen["generated_text"]
