import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from potstill.errors import ConfigError, UsageError
from potstill.lm.interpolation import MOST_WEIGHT, Interpolation, best_weight, tune, tune_one
from potstill.lm.token_scores import TokenScores

probs = st.one_of(st.just(0.0), st.floats(1e-12, 1.0))


def scores_of(neural, infinigram, is_sparse=None):
    neural, infinigram = np.asarray(neural, float), np.asarray(infinigram, float)
    if is_sparse is None:
        is_sparse = np.zeros(len(neural), bool)
    with np.errstate(divide="ignore"):
        return TokenScores(np.log(neural), infinigram, np.asarray(is_sparse), np.ones(len(neural), np.int32))


@st.composite
def some_scores(draw):
    size = draw(st.integers(1, 30))
    neural = draw(arrays(np.float64, size, elements=st.floats(1e-12, 1.0)))
    infinigram = draw(arrays(np.float64, size, elements=probs))
    return scores_of(neural, infinigram, draw(arrays(np.bool_, size)))


def log_likelihood(scores, weights):
    return float(weights.mixed_logprobs(scores).sum())


@given(some_scores(), st.floats(0, 0.999), st.floats(0, 0.999))
def test_mixed_probabilities_are_the_weighted_sum(scores, sparse, nonsparse):
    weights = Interpolation(sparse, nonsparse)
    found = np.exp(weights.mixed_logprobs(scores))
    lambdas = np.where(scores.is_sparse, sparse, nonsparse)
    expected = lambdas * scores.infinigram_probs + (1 - lambdas) * np.exp(scores.neural_logprobs)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@given(some_scores())
@settings(max_examples=60)
def test_no_weight_on_a_fine_grid_makes_the_text_likelier(scores):
    tuned = log_likelihood(scores, tune([scores]))
    for weight in np.linspace(0, MOST_WEIGHT, 101):
        assert tuned >= log_likelihood(scores, Interpolation(weight, weight)) - 1e-9
        one = Interpolation(tune([scores]).sparse, weight)
        assert tuned >= log_likelihood(scores, one) - 1e-9


@given(some_scores(), some_scores())
def test_two_weights_are_never_worse_than_one_on_the_text_they_were_tuned_on(first, second):
    both = TokenScores.join([first, second])
    two, one = tune([first, second]), tune_one([first, second])
    assert one.sparse == one.nonsparse
    assert log_likelihood(both, two) >= log_likelihood(both, one) - 1e-9


@pytest.mark.parametrize(("sparse", "nonsparse"), [(0.7, 0.2), (0.05, 0.6), (0.0, 0.35)])
def test_the_weights_a_text_was_drawn_with_are_found_again(sparse, nonsparse):
    """Each token is drawn from λ P∞ + (1 - λ) P_neural; standard error of λ is below 0.01 at this size."""
    rng = np.random.default_rng(4)
    size, vocab_size = 60_000, 6
    is_sparse = rng.random(size) < 0.5
    neural = rng.dirichlet(np.ones(vocab_size), size)
    infinigram = np.where(
        is_sparse[:, None],
        np.eye(vocab_size)[rng.integers(vocab_size, size=size)],
        neural[rng.permutation(size)],
    )
    lambdas = np.where(is_sparse, sparse, nonsparse)[:, None]
    mixture = lambdas * infinigram + (1 - lambdas) * neural
    drawn = (mixture.cumsum(1) > rng.random((size, 1))).argmax(1)
    rows = np.arange(size)
    found = tune([scores_of(neural[rows, drawn], infinigram[rows, drawn], is_sparse)])
    assert found.sparse == pytest.approx(sparse, abs=0.03)
    assert found.nonsparse == pytest.approx(nonsparse, abs=0.03)


def test_the_slope_is_nought_at_the_weight_that_is_found():
    scores = scores_of([0.5, 0.1, 0.3], [0.0, 0.9, 0.4])
    weight = best_weight(scores, np.ones(3, bool))
    gains = np.array([0.0, 0.9, 0.4]) / [0.5, 0.1, 0.3] - 1
    assert (gains / (1 + weight * gains)).sum() == pytest.approx(0, abs=1e-9)


def test_weights_at_the_borders():
    nobody = np.zeros(2, bool)
    assert best_weight(scores_of([0.5, 0.5], [0.1, 0.1]), ~nobody) == 0
    assert best_weight(scores_of([0.5, 0.5], [0.1, 0.1]), nobody) == 0
    assert best_weight(scores_of([0.1, 0.1], [0.9, 0.5]), ~nobody) == MOST_WEIGHT
    assert best_weight(scores_of([0.0, 0.1], [0.9, 0.5]), ~nobody) == MOST_WEIGHT


def test_a_token_that_neither_model_allows_does_not_move_the_weight():
    possible = scores_of([0.5, 0.1], [0.0, 0.9])
    with_impossible = scores_of([0.5, 0.1, 0.0], [0.0, 0.9, 0.0])
    assert best_weight(with_impossible, np.ones(3, bool)) == best_weight(possible, np.ones(2, bool))
    assert tune([with_impossible]).mixed_logprobs(with_impossible)[2] == -math.inf


@pytest.mark.parametrize("weight", [-0.1, 1.0, math.nan])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ConfigError, match=r"λ nonsparse is .*\[0, 1\)"):
        Interpolation(0.5, weight)


@pytest.mark.parametrize("scores", [[], [scores_of([], [])]])
def test_without_tokens_there_is_nothing_to_tune_on(scores):
    with pytest.raises(UsageError, match="no tokens to tune"):
        tune(scores)
    with pytest.raises(UsageError, match="no tokens to tune"):
        tune_one(scores)
