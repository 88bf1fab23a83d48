import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from potstill.metrics.rouge import rouge_f1, rouge_l_f1, rouge_recall

SCORER = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
SENTENCES = st.lists(
    st.sampled_from(
        [
            "The",
            "bank",
            "banks",
            "banking",
            "raised",
            "raises",
            "rates,",
            "rate",
            "3.5",
            "%",
            "in",
            "Jan.",
            "runner",
            "running",
            "café",
            "東",
            "a",
        ]
    ),
    max_size=25,
).map(" ".join)


@given(st.lists(SENTENCES, min_size=1, max_size=4), SENTENCES)
def test_f1_is_what_rouge_score_gives_against_the_best_reference(references, output):
    expected = SCORER.score_multi(references, output)
    got = rouge_f1(references, output)
    assert got == pytest.approx(
        [expected[kind].fmeasure for kind in ("rouge1", "rouge2", "rougeL")], abs=1e-12
    )


@given(SENTENCES, SENTENCES)
def test_rouge_l_alone_is_the_same_number(reference, output):
    assert rouge_l_f1(reference, output) == rouge_f1([reference], output).rouge_l


def test_recall_reads_only_the_first_75_bytes():
    reference = "Quakes hit the coast"
    filler = "x" * 61
    assert rouge_recall([reference], f"{filler} quakes hit the coast").rouge_1 == 0.5
    assert rouge_recall([reference], "quakes hit the coast").rouge_1 == 1


def test_a_character_cut_in_two_by_the_limit_is_left_out():
    assert rouge_recall(["a b"], "a bé", limit_bytes=4).rouge_1 == 1
