import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.index.bm25 import Bm25, count_terms

Words = st.lists(st.sampled_from("abcdef"), max_size=30)


def formula(ranking: Bm25[str], terms: list[str]) -> float:
    """The sum as it is printed in the papers."""
    total = 0.0
    for term, count in ranking.query.items():
        frequency = min(ranking.frequencies.get(term, 0), ranking.num_pieces)
        idf = math.log((ranking.num_pieces - frequency + 0.5) / (frequency + 0.5) + 1)
        occurrences = terms.count(term)
        length = 1 - ranking.b + ranking.b * len(terms) / ranking.mean_length
        total += count * idf * occurrences * (ranking.k1 + 1) / (occurrences + ranking.k1 * length)
    return total


@given(Words, Words, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 300)), st.integers(1, 200))
def test_the_score_is_that_of_the_printed_formula(query, terms, frequencies, num_pieces) -> None:
    ranking = Bm25(Counter(query), frequencies, num_pieces, mean_length=12.5)
    assert ranking.score(terms) == pytest.approx(formula(ranking, terms))
    assert ranking.score(terms) >= 0


def test_a_rare_term_weighs_more_and_a_longer_text_less() -> None:
    ranking = Bm25({"rare": 1, "common": 1}, {"rare": 1, "common": 90}, 100, mean_length=3.0)
    assert ranking.score(["rare", "x"]) > ranking.score(["common", "x"]) > ranking.score(["x", "x"]) == 0
    assert ranking.score(["rare"]) > ranking.score(["rare", "x", "x", "x"])


def test_terms_are_counted() -> None:
    assert count_terms("abca") == {"a": 2, "b": 1, "c": 1}
