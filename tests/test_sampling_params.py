"""Numbers no text can be drawn with are refused by name."""

import math

import numpy as np
import pytest

from potstill.errors import ConfigError
from potstill.types import SamplingParams

WHOLE = ("top_k", "no_repeat_ngram_size", "max_tokens", "seed", "n", "num_logprobs", "num_beams")
REAL = ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty")


@pytest.mark.parametrize("name", WHOLE + REAL)
@pytest.mark.parametrize("value", [-11, math.nan, math.inf, -math.inf, 2**63, 2**64, 1e300, True, "1", None])
def test_an_absurd_number_is_refused_by_its_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name} is "):
        SamplingParams(**{name: value})


@pytest.mark.parametrize("name", WHOLE)
def test_a_fraction_is_no_count(name):
    with pytest.raises(ConfigError, match=f"^{name} is 1.0; it must be a whole number"):
        SamplingParams(**{name: 1.0})


@pytest.mark.parametrize("stop", ["ab", ("",), (1,), ["a"]])
def test_stop_is_a_tuple_of_texts(stop):
    with pytest.raises(ConfigError, match="^stop "):
        SamplingParams(stop=stop)


def test_a_flag_is_no_number():
    with pytest.raises(ConfigError, match="^stop_at_first_sentence is 1"):
        SamplingParams(stop_at_first_sentence=1)


def test_more_texts_than_beams_are_refused():
    assert SamplingParams(n=3).n == 3 and SamplingParams(n=3, num_beams=3).num_beams == 3
    with pytest.raises(ConfigError, match="n is 3; a search of 2 beams"):
        SamplingParams(n=3, num_beams=2)


def test_the_largest_and_smallest_numbers_are_taken():
    SamplingParams(temperature=1000, top_k=2**31 - 1, top_p=1, seed=2**63 - 1, max_tokens=2**31 - 1)
    SamplingParams(temperature=5e-324, top_p=1e-40, length_penalty=-10, seed=np.int64(3))


@pytest.mark.parametrize(("name", "value"), [("top_p", 5e-324), ("min_p", 1 - 1e-12), ("top_p", 1e39)])
def test_a_share_is_in_its_range_after_rounding_too(name, value):
    """The draw counts in float32; refused there, one request would end the step of all."""
    with pytest.raises(ConfigError, match=f"^{name} is "):
        SamplingParams(**{name: value})
