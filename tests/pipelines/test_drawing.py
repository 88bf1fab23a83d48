import pytest

from potstill.errors import ConfigError, UsageError
from potstill.pipelines.drawing import sampling_of
from potstill.types import SamplingParams

GREEDY = SamplingParams(temperature=0)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({}, {"temperature": 0}),
        ({"do_sample": False, "temperature": None, "top_p": None}, {"temperature": 0}),
        ({"do_sample": True}, {"temperature": 1.0}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        (
            {"top_p": 0.9, "top_k": 5, "min_p": 0.1},
            {"temperature": 1.0, "top_p": 0.9, "top_k": 5, "min_p": 0.1},
        ),
        ({"do_sample": True, "seed": 4, "num_return_sequences": 3}, {"temperature": 1.0, "seed": 4, "n": 3}),
        ({"max_new_tokens": 7}, {"temperature": 0, "max_tokens": 7}),
        ({"num_beams": 4, "num_return_sequences": 2, "early_stopping": True}, {"num_beams": 4, "n": 2}),
        ({"num_beams": 4, "length_penalty": 2.0}, {"num_beams": 4, "length_penalty": 2.0}),
        ({"num_beams": 1, "do_sample": True, "temperature": 0.5}, {"temperature": 0.5}),
        ({"stop": "\n"}, {"stop": ("\n",)}),
        ({"stop": ["a", "b"], "repetition_penalty": 1.2}, {"stop": ("a", "b"), "repetition_penalty": 1.2}),
        ({"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 3}),
    ],
)
def test_arguments_of_generate_are_sampling_parameters(arguments, fields) -> None:
    sampling = sampling_of(arguments, GREEDY)
    assert {name: getattr(sampling, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"temperature": 0.5, "do_sample": False}, "temperature is about drawing"),
        ({"seed": 3}, "seed is about drawing"),
        ({"temperature": 0, "do_sample": True}, "leaves nothing to draw"),
        ({"temperature": 0, "top_p": 0.5}, "top_p is about drawing"),
        ({"num_beams": 2, "do_sample": True}, "num_beams searches"),
        ({"num_beams": 2, "seed": 3}, "num_beams searches"),
        ({"length_penalty": 2.0}, "Add num_beams"),
        ({"num_return_sequences": 2}, "all would be the same text"),
        ({"do_sample": "yes"}, "do_sample is 'yes'"),
        ({"max_new_tokens": 0}, r"^max_new_tokens is 0"),
        ({"num_return_sequences": 2000, "do_sample": True}, r"^num_return_sequences is 2000"),
        ({"top_p": 2.0}, r"^top_p is 2.0"),
    ],
)
def test_what_cannot_take_effect_is_refused(arguments, said) -> None:
    with pytest.raises((UsageError, ConfigError), match=said):
        sampling_of(arguments, GREEDY)


def test_a_student_that_draws_goes_on_drawing_unless_it_is_told_not_to() -> None:
    drawn = SamplingParams(temperature=0.8, top_p=0.9)
    assert sampling_of({}, drawn) == drawn
    assert sampling_of({"do_sample": False}, drawn).temperature == 0
