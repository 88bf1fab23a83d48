import numpy as np
import pytest
import torch

from potstill.engine import sampling
from potstill.engine.repetition import distinct
from potstill.engine.sampling import Filters
from potstill.errors import DamagedError
from potstill.types import SamplingParams

PROBS = [0.5, 0.1, 0.25, 0.15]


def kept(logits):
    return (logits > -torch.inf).tolist()


def one_row():
    return torch.tensor([PROBS]).log()


@pytest.mark.parametrize(
    ("k", "expected"), [(0, [1, 1, 1, 1]), (1, [1, 0, 0, 0]), (3, [1, 0, 1, 1]), (9, [1, 1, 1, 1])]
)
def test_top_k_keeps_the_k_likeliest(k, expected):
    assert kept(sampling.apply_top_k(one_row(), torch.tensor([k]))) == [[bool(e) for e in expected]]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (1.0, [1, 1, 1, 1]),
        (0.8, [1, 0, 1, 1]),
        (0.74, [1, 0, 1, 0]),
        (0.3, [1, 0, 0, 0]),
        (1e-6, [1, 0, 0, 0]),
    ],
)
def test_top_p_keeps_the_smallest_set_of_that_mass(p, expected):
    assert kept(sampling.apply_top_p(one_row(), torch.tensor([p]))) == [[bool(e) for e in expected]]


@pytest.mark.parametrize(("p", "expected"), [(0.0, [1, 1, 1, 1]), (0.25, [1, 0, 1, 1]), (0.9, [1, 0, 0, 0])])
def test_min_p_is_a_share_of_the_likeliest(p, expected):
    assert kept(sampling.apply_min_p(one_row(), torch.tensor([p]))) == [[bool(e) for e in expected]]


def test_temperature_divides_and_zero_leaves_alone():
    got = sampling.apply_temperature(torch.tensor([[2.0, 4.0], [2.0, 4.0]]), torch.tensor([0.5, 0.0]))
    assert got.tolist() == [[4.0, 8.0], [2.0, 4.0]]


def test_a_uniform_number_decides_in_the_order_of_ids():
    logits = one_row().repeat(6, 1)
    uniforms = torch.tensor([0.0, 0.49, 0.51, 0.59, 0.61, 0.9999999], dtype=torch.float64)
    assert sampling.invert_cdf(logits, uniforms).tolist() == [0, 0, 1, 1, 2, 3]


def test_a_token_of_no_probability_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]]).repeat(2, 1)
    assert sampling.invert_cdf(logits, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [
        1,
        1,
    ]


def test_draws_follow_the_distribution():
    rows = [SamplingParams(temperature=0.5)] * 4000
    uniforms = torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits = torch.tensor([PROBS]).log().repeat(4000, 1)
    drawn = sampling.draw(logits, Filters.of(rows, logits.device), uniforms).token_ids
    expected = np.square(PROBS) / np.square(PROBS).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, expected, atol=0.02)


def test_repetition_penalty_is_that_of_transformers():
    transformers = pytest.importorskip("transformers", reason="needs the dependency group `oracles`")
    logits = torch.randn(1, 20, generator=torch.Generator().manual_seed(2))
    expected = transformers.RepetitionPenaltyLogitsProcessor(1.3)(
        torch.tensor([[3, 7, 7, 1]]), logits.clone()
    )
    sampling.penalise_repetition(logits, 0, distinct([3, 7, 7, 1]), 1.3)
    torch.testing.assert_close(logits, expected)


def test_the_filters_are_those_of_transformers():
    transformers = pytest.importorskip("transformers", reason="needs the dependency group `oracles`")
    logits = 3 * torch.randn(8, 100, generator=torch.Generator().manual_seed(2))
    expected = transformers.TopKLogitsWarper(30)(
        None, transformers.TemperatureLogitsWarper(0.7)(None, logits)
    )
    expected = transformers.MinPLogitsWarper(0.02)(None, transformers.TopPLogitsWarper(0.9)(None, expected))
    got = sampling.apply_temperature(logits, torch.full((8,), 0.7))
    got = sampling.apply_top_p(sampling.apply_top_k(got, torch.full((8,), 30)), torch.full((8,), 0.9))
    assert kept(sampling.apply_min_p(got, torch.full((8,), 0.02))) == kept(expected)


def test_a_ban_that_would_leave_nothing_the_model_allows_is_not_applied():
    logits = torch.tensor([[-torch.inf, 1.0, -torch.inf, 2.0]])
    sampling.ban(logits, 0, {1, 2})
    assert logits.tolist() == [[-torch.inf, -torch.inf, -torch.inf, 2.0]]
    sampling.ban(logits, 0, {0, 3})
    assert logits.tolist() == [[-torch.inf, -torch.inf, -torch.inf, 2.0]]


@pytest.mark.parametrize("fault", [torch.nan, torch.inf])
def test_scores_that_are_no_numbers_are_a_damaged_model(fault):
    rows = [SamplingParams()] * 2
    logits = torch.tensor([[0.0, 1.0], [0.0, fault]])
    filters = Filters.of(rows, logits.device)
    with pytest.raises(DamagedError, match=r"logits\[1\].*weights are damaged"):
        sampling.draw(logits, filters, torch.zeros(2, dtype=torch.float64))
    # A fault of our own stays one.
    with pytest.raises(ValueError, match="uniform must have one entry"):
        sampling.draw(torch.zeros(2, 2), filters, torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_draws_what_the_definition_draws(dtype):
    generator = torch.Generator().manual_seed(4)
    rng = np.random.default_rng(4)
    logits = (3 * torch.randn(300, 64, generator=generator)).to(dtype)
    rows = [
        SamplingParams(
            temperature=rng.choice([0, 0.3, 1, 2]),
            top_k=int(rng.choice([0, 1, 3, 20, 100])),
            top_p=rng.choice([0.1, 0.5, 0.95, 1]),
            min_p=rng.choice([0, 0.01, 0.3]),
        )
        for _ in range(300)
    ]
    filters = Filters.of(rows, logits.device)
    uniforms = torch.rand(300, dtype=torch.float64, generator=generator)
    expected = sampling.draw_plain(logits, filters, uniforms)
    got = sampling.draw(logits, filters, uniforms)
    assert got.token_ids.tolist() == expected.token_ids.tolist()
    torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("score", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_refused_by_the_definition_too(score, temperature):
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, score, 2.0]])
    filters = Filters.of([SamplingParams(temperature=temperature)] * 2, logits.device)
    with pytest.raises(DamagedError, match="no numbers"):
        sampling.draw_plain(logits, filters, torch.full((2,), 0.5, dtype=torch.float64))
