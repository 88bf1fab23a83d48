"""Kinship of words, on hand-written pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.synthesis.word_forms import are_forms_of_one

KIN = """
syria syrian|syria syrians|italy italian|canada canadian|egypt egyptian|brazil brazilian|iran iranian
japan japanese|china chinese|israel israeli|iraq iraqis|mexico mexican|cuba cuban|kenya kenyan
ukraine ukrainian|palestine palestinian|germany german|france french|britain british|spain spanish
greece greeks|turkey turkish|europe european|eu european|us american|netherlands dutch|serbia serb
london londoners|islam islamic|minister ministry|president presidential|report reported|smuggle smuggling
smoke smokers|agreed agreement|sues sued|win wins|cat cats|tax taxes
"""
STRANGERS = """
niger nigeria|austria australia|austrian australian|iran iraq|johnson johnston|smith smithson|morris morrison
martin martina|carter cartwright|roman romania|somali romania|2000 2004|10000 100000
car cart|war ward|man many
"""


def pairs(text: str) -> list[tuple[str, ...]]:
    return [tuple(entry.split()) for line in text.split("\n") for entry in line.split("|") if entry]


@pytest.mark.parametrize(("first", "second"), pairs(KIN))
def test_forms_of_one_word_are_known_both_ways(first: str, second: str) -> None:
    assert are_forms_of_one(first, second)
    assert are_forms_of_one(second, first)


@pytest.mark.parametrize(("first", "second"), pairs(STRANGERS))
def test_words_that_only_look_alike_are_strangers(first: str, second: str) -> None:
    assert not are_forms_of_one(first, second)
    assert not are_forms_of_one(second, first)


@given(st.text(max_size=12), st.text(max_size=12))
def test_kinship_is_mutual_and_each_word_is_its_own_form(first: str, second: str) -> None:
    assert are_forms_of_one(first, second) == are_forms_of_one(second, first)
    assert are_forms_of_one(first, first)
