"""Numbers in words and digits are read as the same values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.synthesis.numerals import numbers, sure_numbers

_UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
UNITS, TENS = _UNITS.split(), _TENS.split()


def spelled(value: int, joint: str = " and ") -> str:
    """How English writes a number: the truth that the reader is held against."""
    if value < 20:
        return UNITS[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f"-{UNITS[value % 10]}" if value % 10 else "")
    if value < 1000:
        return f"{UNITS[value // 100]} hundred" + (joint + spelled(value % 100) if value % 100 else "")
    for name, scale in (("billion", 10**9), ("million", 10**6), ("thousand", 1000)):
        if value >= scale:
            rest = f" {spelled(value % scale, joint)}" if value % scale else ""
            return f"{spelled(value // scale, joint)} {name}{rest}"
    raise AssertionError(value)


@given(st.integers(min_value=2, max_value=10**12 - 1), st.sampled_from([" and ", " "]))
def test_a_spelled_number_is_its_value(value: int, joint: str) -> None:
    assert numbers(spelled(value, joint)) == {str(value)}


@given(st.integers(min_value=0, max_value=10**15))
def test_thousands_separators_change_nothing(value: int) -> None:
    assert numbers(f"about {value:,} of them") == numbers(f"about {value} of them") == {str(value)}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("It rose 3.5 percent.", {"3.5"}),
        ("It rose 3.50 percent to 2.0.", {"3.5", "2"}),
        ("25 million people", {"25000000"}),
        ("twenty-five million people", {"25000000"}),
        ("2.5 million", {"2500000"}),
        ("$3bn", {"3000000000"}),
        ("half a million", {"500000"}),
        ("half of the town", {"0.5"}),
        ("two dozen eggs", {"24"}),
        ("dozens of eggs", {"dozens"}),
        ("fifteen hundred", {"1500"}),
        ("between one hundred and two hundred", {"100", "200"}),
        ("between five and six hundred", {"5", "600"}),
        ("nineteen ninety", {"19", "90"}),
        ("twenty, thirty or forty", {"20", "30", "40"}),
        ("in 2019 three men", {"2019", "3"}),
        ("won 5-3 in the 1990s", {"5", "3", "1990"}),
        ("at 9:30 on 3/4", {"9:30", "3/4"}),
        ("his 21st birthday, her twenty-first", {"21"}),
        ("the third time", {"3"}),
        ("profit doubled", {"2"}),
        ("no number here, anyone", set()),
        ("", set()),
    ],
)
def test_hand_written_numbers(text: str, values: set[str]) -> None:
    assert numbers(text) == values


def test_masks_stand_for_themselves() -> None:
    assert numbers("#.# percent of ##,### people in ####") == {"#.#", "#####", "####"}


def test_one_zero_first_and_second_are_not_sure_unless_written_in_digits() -> None:
    assert sure_numbers("One of them came first, a second later, from zero.") == set()
    assert numbers("One of them came first, a second later, from zero.") == {"0", "1", "2"}
    assert sure_numbers("1 of them, and one million") == {"1", "1000000"}


def test_very_long_digits_are_kept_as_written() -> None:
    assert numbers("9" * 50_000) == {"9" * 50_000}
