import math

import numpy as np
import pytest

from potstill.evaluation.perplexity import compare_mixture, improvement, perplexity
from potstill.lm.interpolation import Interpolation
from potstill.lm.token_scores import TokenScores


def some_units(count=40):
    rng = np.random.default_rng(3)
    for size in rng.integers(1, 50, count):
        neural = rng.uniform(0.01, 1, size)
        infinigram = np.where(rng.random(size) < 0.4, 0, rng.random(size))
        yield TokenScores(
            np.log(neural), infinigram, rng.random(size) < 0.3, rng.integers(9, size=size, dtype=np.int32)
        )


def test_perplexity_of_even_odds_is_their_number():
    assert perplexity([np.log([0.25, 0.25]), np.log([0.25])]) == pytest.approx(4)
    assert perplexity([np.array([0.0, -math.inf])]) == math.inf


def test_the_published_formula_gives_the_published_figures():
    """GPT-2 117M on the Pile's validation set: 22.82 becomes 13.71, told as 42%; Llama-2 7B: 14%."""
    assert improvement(13.71, 22.82) == pytest.approx(0.42, abs=0.005)
    assert improvement(5.05, 5.69) == pytest.approx(0.14, abs=0.005)


def test_a_report_holds_what_plain_sums_give():
    units, weights = list(some_units()), Interpolation(0.5, 0.2)
    found = compare_mixture(units, weights, seed=1)
    neural = perplexity([unit.neural_logprobs for unit in units])
    mixture = perplexity([weights.mixed_logprobs(unit) for unit in units])
    assert found.neural.mean == pytest.approx(neural)
    assert found.mixture.mean == pytest.approx(mixture)
    assert found.improvement.mean == pytest.approx(improvement(mixture, neural))
    for interval in (found.neural, found.mixture, found.improvement):
        assert interval.low < interval.mean < interval.high
    whole = TokenScores.join(units)
    assert (found.num_units, found.num_tokens) == (40, whole.num_tokens)
    assert found.share_unseen == pytest.approx(np.mean(whole.infinigram_probs == 0))
    assert found.to_record()["improvement"]["mean"] == found.improvement.mean


def test_units_without_tokens_do_not_count():
    units = list(some_units(5))
    with_empty = [*units, TokenScores(np.empty(0), np.empty(0), np.empty(0, bool), np.empty(0, np.int32))]
    weights = Interpolation(0.1, 0.1)
    assert compare_mixture(with_empty, weights, seed=2) == compare_mixture(units, weights, seed=2)


def test_pieces_hold_every_token_once():
    (unit,) = list(some_units(1))
    pieces = unit.pieces(4)
    assert {piece.num_tokens for piece in pieces[:-1]} <= {4}
    again = TokenScores.join(pieces)
    np.testing.assert_array_equal(again.neural_logprobs, unit.neural_logprobs)
    np.testing.assert_array_equal(again.suffix_len, unit.suffix_len)
