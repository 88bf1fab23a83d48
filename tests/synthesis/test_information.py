"""Pointwise mutual information under a language model written out as a table."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from potstill.lm.context import Context
from potstill.lm.table import TableModel
from potstill.synthesis.information import (
    Brevity,
    Completeness,
    Equivalence,
    Faithfulness,
    Information,
    Saliency,
)
from potstill.types import TextPair

# Token ids: 0 the line break, then the letters.
LETTERS = "\nab"
A, B = 1, 2
MODEL = TableModel(
    {
        (): [0.2, 0.4, 0.4],
        (0,): [0.1, 0.6, 0.3],
        (A, 0): [0.05, 0.15, 0.8],
        (B, 0): [0.1, 0.8, 0.1],
        (0, A): [0.2, 0.5, 0.3],
        (0, B): [0.4, 0.2, 0.4],
    }
)


def encode(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


class Scorer:
    """Chains the table's next-token probabilities, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def __call__(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
        assert requests, "an empty batch is not worth a call"
        self.asked += [(tuple(prompt), tuple(target)) for prompt, target in requests]
        return [self.score(tuple(prompt), tuple(target)) for prompt, target in requests]

    @staticmethod
    def score(prompt: tuple[int, ...], target: tuple[int, ...]) -> float:
        contexts = [Context(prompt, target[:index]) for index in range(len(target))]
        if not contexts:
            return 0.0
        return float(
            sum(row[token] for row, token in zip(MODEL.next_logprobs(contexts), target, strict=True))
        )


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture
def information(scorer: Scorer) -> Information:
    return Information(encode, scorer)


def test_faithfulness_is_what_the_source_tells_about_the_target(information: Information) -> None:
    # p(b | "a\n") = 0.8 and p(b | "\n") = 0.3.
    got = Faithfulness(information).scores([TextPair("a", "b")])
    np.testing.assert_allclose(got, [math.log(0.8 / 0.3)], rtol=1e-6)


def test_saliency_is_what_the_target_tells_about_the_source(information: Information) -> None:
    # p(a | "b\n") = 0.8 and p(a | "\n") = 0.6.
    got = Saliency(information).scores([TextPair("a", "b")])
    np.testing.assert_allclose(got, [math.log(0.8 / 0.6)], rtol=1e-6)


def test_both_are_a_token_of_the_text_in_question(information: Information) -> None:
    # log p(ab | "b\n") - log p(ab | "\n") is log(0.8 * 0.3) - log(0.6 * 0.3), over two tokens.
    got = Faithfulness(information).scores([TextPair("b", "ab")])
    np.testing.assert_allclose(got, [math.log(0.8 / 0.6) / 2], rtol=1e-6)


def test_equivalence_is_the_smaller_of_both_and_mutual(information: Information) -> None:
    pairs = [TextPair("a", "b"), TextPair("ab", "b"), TextPair("b", "bb"), TextPair("a", "a")]
    both = [Faithfulness(information).scores(pairs), Saliency(information).scores(pairs)]
    equivalence = Equivalence(information)
    np.testing.assert_array_equal(equivalence.scores(pairs), np.minimum(*both))
    turned = [TextPair(pair.target_text, pair.source) for pair in pairs]
    np.testing.assert_array_equal(equivalence.scores(pairs), equivalence.scores(turned))


def test_brevity_is_tokens_over_tokens(information: Information) -> None:
    got = Brevity(information).scores([TextPair("aab", "b"), TextPair("a", "ba"), TextPair("", "b")])
    assert got.tolist() == [1 / 3, 2, 1]


def test_an_answer_is_remembered_for_every_critic(information: Information, scorer: Scorer) -> None:
    pairs = [TextPair("a", "b"), TextPair("a", "ab"), TextPair("a", "b")]
    Faithfulness(information).scores(pairs)
    Saliency(information).scores(pairs)
    num_asked = len(scorer.asked)
    assert num_asked == len(set(scorer.asked))
    Equivalence(information).scores(pairs)
    assert len(scorer.asked) == num_asked


def test_completeness_is_how_readily_the_text_ends_where_it_ends(information: Information) -> None:
    # After "\na" the mark b has 0.3 and the line break 0.2; after "\nb" the mark a has 0.2, the break 0.4.
    got = Completeness(information).scores([TextPair("a", "ab"), TextPair("", " ba ")])
    np.testing.assert_allclose(got, [math.log(0.3 + 0.2), math.log(0.2 + 0.4)], rtol=1e-6)


def test_empty_texts_and_no_pairs_are_fine(information: Information) -> None:
    assert Faithfulness(information).scores([TextPair("a", "")]).tolist() == [0]
    for critic in (Faithfulness(information), Saliency(information), Equivalence(information)):
        assert critic.scores([]).shape == (0,)
