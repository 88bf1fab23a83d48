from hypothesis import given
from hypothesis import strategies as st

from potstill.metrics.lcs import lcs_length


def _by_the_table(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first, 1):
        for j, b in enumerate(second, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if a == b else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


@given(st.lists(st.integers(0, 4), max_size=90), st.lists(st.integers(0, 4), max_size=90))
def test_the_length_is_what_the_full_table_gives(first, second):
    assert lcs_length(first, second) == _by_the_table(first, second)


def test_words_of_a_shortened_sentence_are_all_common():
    source = ["the", "central", "bank", "raised", "its", "main", "rate", "by", "a", "quarter", "point"]
    assert lcs_length(source, ["central", "bank", "raised", "rate", "by", "quarter", "point"]) == 7
    assert lcs_length(source, []) == lcs_length([], source) == 0
