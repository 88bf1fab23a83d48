import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.metrics.bootstrap import mean_interval, paired_difference, statistic_interval

FLOATS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@given(FLOATS, st.integers(0, 2**62))
def test_the_interval_lies_within_the_values_and_is_the_same_for_a_seed(values, seed):
    interval = mean_interval(values, seed, samples=50)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert interval.mean == pytest.approx(float(np.mean(values)))
    assert interval == mean_interval(values, seed, samples=50)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    generator = np.random.default_rng(7)
    held = 0
    for trial in range(300):
        interval = mean_interval(generator.normal(1.0, 2.0, size=80), trial, samples=400)
        held += interval.low <= 1.0 <= interval.high
    assert 0.90 <= held / 300 <= 0.98


def test_the_interval_is_as_wide_as_the_normal_approximation():
    values = np.random.default_rng(3).normal(size=2000)
    interval = mean_interval(values, 1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.08)


def test_a_paired_difference_sees_what_two_separate_means_cannot():
    difficulty = np.random.default_rng(5).normal(0, 10, size=200)
    difference = paired_difference(difficulty + 0.5, difficulty - 0.5 * np.arange(200) / 200, 1)
    assert difference.low > 0
    assert difference.p is not None and difference.p < 0.01


def test_equal_systems_do_not_differ():
    difference = paired_difference([0.1, 0.9, 0.4], [0.1, 0.9, 0.4], 1)
    assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_p_under_no_difference_is_about_uniform():
    generator = np.random.default_rng(11)
    ps = [
        paired_difference(generator.normal(size=60), generator.normal(size=60), seed, samples=300).p
        for seed in range(200)
    ]
    assert 0.01 <= np.mean([p < 0.05 for p in ps]) <= 0.10


def test_more_values_than_fit_at_once_are_drawn_in_parts():
    interval = mean_interval(np.arange(3_000_000, dtype=np.float64), 1, samples=3)
    assert interval.low < 1_499_999.5 < interval.high or interval.high - interval.low < 3000


def test_a_statistic_of_sums_agrees_with_the_mean_where_it_is_one():
    values = np.random.default_rng(2).normal(3, 1, size=300)
    rows = np.stack([values, np.ones(300)], axis=1)
    ratio = statistic_interval(rows, lambda sums: sums[:, 0] / sums[:, 1], seed=5)
    mean = mean_interval(values, seed=5)
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((mean.mean, mean.low, mean.high))


def test_a_ratio_of_sums_weighs_records_by_their_size():
    rows = np.array([[10.0, 1.0], [10.0, 99.0]])
    assert statistic_interval(rows, lambda sums: sums[:, 0] / sums[:, 1], seed=1).mean == 0.2
