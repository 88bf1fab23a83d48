"""What a target may state, on hand-written pairs."""

import pytest

from potstill.corpus.normalization import newswire_style
from potstill.synthesis.facts import names, unsupported_names, unsupported_numbers, words

RARE = {"zorbia", "karvel", "tokarev", "lindhaven", "tudjman"}


def is_rare(word: str) -> bool:
    return word in RARE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The army left.", set()),
        ("Police met Maria Lopez.", {"maria", "lopez"}),
        ("Zorbia won.", {"zorbia"}),
        ("It rained. Police came. Karvel flooded.", {"karvel"}),
        ("Ask Mr. Smith or Dr. Rossi.", {"mr", "smith", "dr", "rossi"}),
        ("John's dog is Karl's.", {"karl"}),
        ("the firm of the O’Haras and O'Hara’s", {"o'haras", "o'hara"}),
        ("The U.S. army and the U.N.-led force", {"us", "un"}),
        ("Troops of the U.S. He left.", {"us"}),
        ("I am sure I'm late, and I'll say so.", set()),
        ("He said: We will go to Paris.", {"paris"}),
        ('She said, "Nobody knows," and left Rome.', {"rome"}),
        ('The film "Titanic" won.', {"titanic"}),
        ("The storm — Sandy — hit the coast.", {"sandy"}),
        ("News (AP) came late.", {"ap"}),
        ("The Anglo-Dutch firm", {"anglo", "dutch"}),
        ("It is The Hague.", {"hague"}),
        ("Experts of the WHO told US diplomats.", {"who", "us"}),
        ("", set()),
    ],
)
def test_names_in_text_with_capitals(text: str, expected: set[str]) -> None:
    assert names(text, is_rare) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("croatian president tudjman said he 's in zorbia .", {"tudjman", "zorbia"}),
        ("tudjman's aide did n't know", {"tudjman"}),
        ("#.# percent of lindhaven", {"lindhaven"}),
        ("nothing rare", set()),
    ],
)
def test_names_in_text_without_capitals_are_its_rare_words(text: str, expected: set[str]) -> None:
    assert names(text, is_rare) == expected


def test_words_are_lower_case_with_numbers_whole_and_initialisms_closed() -> None:
    text = "The U.S. paid $1,234.50 for O’Brien's twenty-five e.g. ##,### things_here."
    closed = "the us paid 1,234.50 for o'brien's twenty five eg ##,### things here"
    assert words(text) == closed.split(" ")


SOURCE = (
    "Maria Lopez, a nurse from Syria who has lived in the U.S. for twenty years, told the ministry in "
    "Lindhaven that 1,200 of its 25 million people had fled, the first in a decade, John F. Kennedy wrote."
)


@pytest.mark.parametrize(
    "target",
    [
        "Nurse Maria Lopez told the Ministry.",
        "Syrian nurse has lived in the US for 20 years.",
        "Lindhaven's 1200 fled.",
        "Twenty-five million people live there.",
        "One of them fled at first.",
        "J. Kennedy wrote.",
    ],
)
def test_what_the_source_says_in_other_forms_is_supported(target: str) -> None:
    assert unsupported_names(target, SOURCE, is_rare) == set()
    assert unsupported_numbers(target, SOURCE) == set()


@pytest.mark.parametrize(
    ("target", "new_names", "new_numbers"),
    [
        ("Nurse Maria Gomez fled.", {"gomez"}, set()),
        ("Tokarev fled.", {"tokarev"}, set()),
        ("It was told to Mr. Smith.", {"mr", "smith"}, set()),
        ("She told it on Monday.", {"monday"}, set()),
        ("The Australians fled.", {"australians"}, set()),
        ("About 12 of 25 million fled.", set(), {"12"}),
        ("Some 25 billion fled.", set(), {"25000000000"}),
        ("Some 25 people fled.", set(), {"25"}),
        ("Thousands fled.", set(), {"thousands"}),
        ("1 person fled in 1999.", set(), {"1999"}),
        ("Q. Kennedy wrote.", {"q"}, set()),
    ],
)
def test_what_the_source_does_not_say_is_found(
    target: str, new_names: set[str], new_numbers: set[str]
) -> None:
    rare = RARE | {"q"}
    assert unsupported_names(target, SOURCE, lambda word: word in rare) == new_names
    assert unsupported_numbers(target, SOURCE) == new_numbers


def test_masked_numbers_support_the_same_mask_only() -> None:
    source = "profit rose #.# percent to #,### dollars"
    assert unsupported_numbers("up #.# percent", source) == set()
    assert unsupported_numbers("up ## percent", source) == {"##"}


def test_newswire_style_changes_no_verdict_about_names() -> None:
    target = "Nurse Maria Tokarev fled to Lindhaven."
    lower = newswire_style(target), newswire_style(SOURCE)
    assert unsupported_names(*lower, is_rare) == unsupported_names(target, SOURCE, is_rare) == {"tokarev"}


def test_a_text_supports_itself() -> None:
    for text in (SOURCE, SOURCE.lower(), SOURCE.upper(), newswire_style(SOURCE)):
        assert unsupported_names(text, text, lambda word: True) == set()
        assert unsupported_numbers(text, text) == set()
