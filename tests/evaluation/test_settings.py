"""Every range of the [evaluation] table."""

from typing import Any

import pytest

from potstill.errors import ConfigError
from potstill.evaluation.settings import EvaluationSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_examples", 0),
        ("temperature", -0.1),
        ("temperature", 10.0),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("max_tokens", 0),
        ("resamples", 99),
        ("level", 0.5),
        ("level", 1.0),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        EvaluationSettings(**{name: value})


def test_the_ends_of_the_ranges_are_allowed() -> None:
    EvaluationSettings(num_examples=1, temperature=0, top_p=1.0, max_tokens=1, resamples=100, level=0.51)
