"""What no model is needed for."""

import pytest

from potstill.evaluation.baselines import first_characters, first_clause, first_words


@pytest.mark.parametrize(
    ("num_words", "output"),
    [
        (3, "The mayor, who."),
        (2, "The mayor."),
        (1, "The."),
        (0, "."),
        (6, "The mayor, who left, spoke."),
        (60, "The mayor, who left, spoke."),
    ],
)
def test_first_words_end_with_a_full_stop_where_something_was_cut(num_words: int, output: str) -> None:
    assert first_words("The mayor, who left, spoke.", num_words) == output


def test_first_characters_are_cut_anywhere() -> None:
    assert first_characters("abc def", 75) == "abc def"
    assert first_characters("abc def", 5) == "abc d"
    assert first_characters("abc def", 4) == "abc"


@pytest.mark.parametrize(
    ("source", "clause"),
    [
        ("The old bridge was closed, the police said on Monday.", "The old bridge was closed."),
        ("The bridge was shut because a ship had hit it.", "The bridge was shut."),
        ("The river rose by four metres after the storm.", "The river rose by four metres."),
        ("Four men were held – two of them young.", "Four men were held."),
        # Three words are no clause yet, so the next border is taken.
        ("On Monday, the board met again, and then it voted.", "On Monday, the board met again."),
        ("Nothing in this sentence could be left away.", "Nothing in this sentence could be left away."),
        # A comma inside a number ends no clause.
        ("Some 40,000 homes were dark for days, they said.", "Some 40,000 homes were dark for days."),
        ("About half of 3,500 cars were sold.", "About half of 3,500 cars were sold."),
    ],
)
def test_the_first_clause_ends_at_the_first_border_that_leaves_four_words(source: str, clause: str) -> None:
    assert first_clause(source) == clause
