"""The sampling kernel beside a plain sort of each row."""

import numpy as np
import pytest
import torch

from potstill import _native


def draw(logits, *, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, uniform=0.5):
    B = logits.shape[0]

    def column(value, dtype):
        return torch.broadcast_to(torch.as_tensor(value, dtype=dtype), (B,)).contiguous()

    return _native.sample(
        logits,
        column(temperature, torch.float32),
        column(top_k, torch.int32),
        column(top_p, torch.float32),
        column(min_p, torch.float32),
        column(uniform, torch.float64),
    )


def draw_by_sorting(row, *, temperature, top_k, top_p, min_p, uniform):
    """Everything sorted, in float64; also whether rounding could have moved the outcome."""
    if temperature == 0:
        return int(row.argmax()), False
    weights = np.exp((row - row.max()) / np.float64(np.float32(temperature)))
    ranked = np.lexsort((np.arange(len(row)), -row))  # likeliest first, of equals the lower id
    if top_k:
        ranked = ranked[:top_k]
    mass = weights[ranked].cumsum()
    wanted_mass = np.float64(np.float32(top_p)) * mass[-1]
    close = np.isclose(mass, wanted_mass, rtol=1e-12, atol=0).any() if top_p < 1 else False
    if top_p < 1:
        ranked = ranked[: max(1, (mass < wanted_mass).sum() + 1)]
    if min_p:
        share = np.float64(np.float32(min_p))
        close = close or np.isclose(weights, share, rtol=1e-9, atol=0).any()
        ranked = ranked[weights[ranked] >= share]
    kept = np.sort(ranked)
    cumulated = weights[kept].cumsum()
    wanted = uniform * cumulated[-1]
    close = close or np.isclose(cumulated, wanted, rtol=1e-11, atol=0).any()
    return int(kept[min((cumulated <= wanted).sum(), len(kept) - 1)]), bool(close)


def rows_of_many_kinds(V, generator):
    normal = torch.randn(V, generator=generator)
    spike = torch.zeros(V)
    spike[V // 3] = 40.0
    masked = torch.where(torch.rand(V, generator=generator) < 0.9, -torch.inf, normal)
    masked[V // 2] = 1.0
    single = torch.full((V,), -torch.inf)
    single[V - 1] = -3.0
    zeros = torch.where(torch.rand(V, generator=generator) < 0.5, 0.0, -0.0)
    narrow = 1.0 + torch.rand(V, generator=generator) * 1e-3  # one bucket of the kernel
    return torch.stack(
        [normal, normal * 6, spike, masked, single, zeros, narrow, normal - 80, normal.round()]
    )


SETTINGS = [
    dict(),
    dict(top_p=0.9),
    dict(top_p=0.3),
    dict(top_p=1e-6),
    dict(top_k=1),
    dict(top_k=7),
    dict(top_k=10**6),
    dict(min_p=0.1),
    dict(top_k=40, top_p=0.8),
    dict(top_k=40, top_p=0.95, min_p=0.2, temperature=0.7),
    dict(temperature=0.0),
    dict(temperature=0.01),
    dict(temperature=100.0, top_p=0.5),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("V", [1, 257, 5000])
def test_every_draw_is_the_one_that_sorting_gives(V, dtype, settings):
    generator = torch.Generator().manual_seed(V)
    logits = rows_of_many_kinds(V, generator).to(dtype)
    full = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, **settings}
    num_compared = 0
    for uniform in [0.0, 1 - 2**-53, *torch.rand(5, generator=generator, dtype=torch.float64).tolist()]:
        ids, logprobs = draw(logits, uniform=uniform, **full)
        expected = logits.double().log_softmax(-1)[torch.arange(len(ids)), torch.as_tensor(ids).long()]
        np.testing.assert_allclose(logprobs, expected, rtol=1e-6, atol=1e-6)
        for row, token_id in zip(logits.double().numpy(), ids, strict=True):
            want, is_close = draw_by_sorting(row, uniform=uniform, **full)
            if not is_close:
                assert token_id == want
                num_compared += 1
    assert num_compared > 40


@pytest.mark.parametrize(
    "settings", [dict(top_p=0.9), dict(top_p=0.999), dict(top_k=50), dict(top_k=900)], ids=str
)
def test_wide_rows_are_drawn_as_sorting_draws_them(settings):
    """Peaked, flat, and with all likely tokens in one place: most of such rows is passed over unread."""
    V = 40_000
    normal = torch.randn(V, generator=torch.Generator().manual_seed(3))
    ramp = torch.where(torch.arange(V) < 700, normal + 9, -normal.abs() * 3)
    logits = torch.stack([normal * 5, normal * 0.1, ramp, normal - 1e4])
    full = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, **settings}
    for uniform in [0.1, 0.77]:
        for row, token_id in zip(
            logits.double().numpy(), draw(logits, uniform=uniform, **full)[0], strict=True
        ):
            want, is_close = draw_by_sorting(row, uniform=uniform, **full)
            assert is_close or token_id == want


def test_of_equal_tokens_the_lower_ids_stay():
    logits = torch.zeros(1, 10)
    drawn = {int(draw(logits, top_p=0.5, uniform=u)[0][0]) for u in np.arange(0, 1, 0.01)}
    assert drawn == {0, 1, 2, 3, 4}
    drawn = {int(draw(logits.bfloat16(), top_k=3, uniform=u)[0][0]) for u in np.arange(0, 1, 0.01)}
    assert drawn == {0, 1, 2}


def test_greedy_takes_the_lowest_id_of_the_likeliest():
    logits = torch.tensor([[0.0, 3.0, 1.0, 3.0], [-0.0, 0.0, -1.0, -2.0]])
    for rows in (logits, logits.bfloat16()):
        assert draw(rows, temperature=0.0, uniform=0.999)[0].tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_draws_follow_the_distribution(dtype):
    """Chi-square of 10,000 draws over 12 kept tokens, below its 0.999 quantile: 31.3 at 11 degrees."""
    num_draws = 10_000
    row = torch.linspace(-2, 2, 16).to(dtype)
    uniform = torch.from_numpy(np.random.default_rng(7).random(num_draws))
    ids, _ = draw(row.expand(num_draws, -1).contiguous(), top_k=12, temperature=1.3, uniform=uniform)
    kept = torch.where(torch.arange(16) >= 4, row.double(), -torch.inf)
    expected = (kept / 1.3).softmax(-1).numpy() * num_draws
    observed = np.bincount(ids, minlength=16)
    assert observed[:4].sum() == 0
    assert ((observed - expected)[4:] ** 2 / expected[4:]).sum() < 31.3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_drawn_alike_alone_and_in_a_batch(dtype):
    generator = torch.Generator().manual_seed(1)
    logits = (torch.randn(9, 3000, generator=generator) * 3).to(dtype)
    uniform = torch.rand(9, generator=generator, dtype=torch.float64)
    ids, logprobs = draw(logits, top_p=0.9, uniform=uniform)
    for row in range(9):
        alone = draw(logits[row : row + 1], top_p=0.9, uniform=uniform[row])
        assert (alone[0][0], alone[1][0]) == (ids[row], logprobs[row])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("bad", "message"),
    [(torch.nan, "holds NaN"), (-torch.nan, "holds NaN"), (torch.inf, "holds NaN or"), (None, "no finite")],
)
def test_rows_that_are_no_distribution_are_refused_by_number(dtype, bad, message):
    logits = torch.zeros(3, 20, dtype=dtype)
    if bad is None:
        logits[2] = -torch.inf
    else:
        logits[2, 13] = bad
    with pytest.raises(ValueError, match=rf"logits\[2\].*{message}"):
        draw(logits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(temperature=-0.1), "temperature"),
        (dict(temperature=torch.inf), "temperature"),
        (dict(top_k=-1), "top_k"),
        (dict(top_p=0.0), "top_p"),
        (dict(top_p=1.1), "top_p"),
        (dict(min_p=1.0), "min_p"),
        (dict(uniform=1.0), "uniform"),
        (dict(uniform=torch.nan), "uniform"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=rf"{message}\[0\] must be"):
        draw(torch.zeros(2, 5), **settings)


def test_a_column_of_another_length_is_refused_by_name():
    one, two = torch.ones(1), torch.ones(2)
    with pytest.raises(ValueError, match="min_p must have one entry a row"):
        _native.sample(torch.zeros(2, 5), two, two.int(), two, one, two.double() / 2)
    with pytest.raises(ValueError, match="logits must be float32 or bfloat16"):
        _native.sample(torch.zeros(2, 5).half(), two, two.int(), two, two / 2, two.double() / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logsumexp_is_that_of_torch(dtype):
    logits = rows_of_many_kinds(3001, torch.Generator().manual_seed(2)).to(dtype)
    logits = torch.cat([logits, torch.full((1, 3001), -torch.inf)])
    np.testing.assert_allclose(_native.logsumexp(logits), logits.double().logsumexp(-1), rtol=2e-6)
    logits[1, 5] = torch.nan
    assert np.isnan(_native.logsumexp(logits)).tolist() == [False, True, *[False] * (len(logits) - 2)]
