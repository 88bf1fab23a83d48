import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.metrics.overlap import compression_ratio, copied_fragments, novel_ngram_share, words_of

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=14)


def test_a_copy_is_one_fragment_and_has_nothing_new():
    text = "The mayor’s office said that it won't pay."
    assert copied_fragments(text, text) == (1.0, len(words_of(text)), len(words_of(text)))
    assert novel_ngram_share(text, text, 2) == 0
    assert compression_ratio(text, text) == 1


def test_fragments_are_counted_as_in_the_paper():
    fragments = copied_fragments(
        "the old mayor of the town left office", "mayor left office after the town row"
    )
    assert fragments.coverage == pytest.approx(5 / 7)
    assert fragments.density == pytest.approx((1 + 4 + 4) / 7)
    assert fragments.longest_words == 2


@given(WORDS, WORDS)
def test_no_run_is_longer_than_the_longest_common_run(source, output):
    runs = [
        length
        for start in range(len(output))
        for length in range(len(output) - start + 1)
        if any(source[at : at + length] == output[start : start + length] for at in range(len(source) + 1))
    ]
    fragments = copied_fragments(" ".join(source), " ".join(output))
    assert fragments.longest_words <= max(runs, default=0)
    assert fragments.coverage <= 1 and fragments.density <= fragments.longest_words


@given(WORDS, WORDS, st.integers(1, 3))
def test_new_ngrams_are_those_a_scan_does_not_find(source, output, size):
    grams = [output[start : start + size] for start in range(len(output) - size + 1)]
    known = [source[start : start + size] for start in range(len(source) - size + 1)]
    expected = sum(gram not in known for gram in grams) / len(grams) if grams else 0
    assert novel_ngram_share(" ".join(source), " ".join(output), size) == expected


def test_an_empty_output_copies_nothing():
    assert copied_fragments("a b", "") == (0, 0, 0)
