"""Products with packed matrices beside torch's, and the laws that a batch rests on."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from potstill import _native

KINDS = ["fp32", "bf16", "int8"]
GROUP = 64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rounded(x: torch.Tensor, kind: str, *, scale_is_bf16: bool = False) -> torch.Tensor:
    """What is left of weights or inputs [rows, columns] in a kind, in float64."""
    if kind == "fp32":
        return x.double()
    if kind == "bf16":
        return x.bfloat16().double()
    rows, columns = x.shape
    groups = F.pad(x, (0, -columns % GROUP)).view(rows, -1, GROUP)
    exact = groups.abs().amax(-1, keepdim=True) / 127
    scale = exact
    if scale_is_bf16:  # the least one that is not below
        scale = (exact.view(torch.int32) + 0xFFFF & ~0xFFFF).view(torch.float32)
    q = (groups / scale.clamp_min(1e-30)).round()
    return (q.double() * scale.double()).reshape(rows, -1)[:, :columns]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("M", "N", "K"), [(1, 1, 1), (3, 33, 63), (9, 100, 65), (17, 64, 640), (70, 31, 129)]
)
def test_a_product_is_that_of_the_rounded_matrices(kind, M, N, K):
    x, weight, bias = normal(M, K), normal(N, K, seed=1) * 0.05, normal(N, seed=2)
    got = _native.linear(x, _native.PackedMatrix(weight, kind), bias)
    expected = rounded(x, kind) @ rounded(weight, kind, scale_is_bf16=True).T + bias.double()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 if kind == "int8" else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_matrix_are_the_rounded_weights(kind):
    weight = normal(40, 100) * torch.logspace(-6, 6, 40)[:, None]
    matrix = _native.PackedMatrix(weight, kind)
    assert (matrix.rows, matrix.columns, matrix.kind) == (40, 100, kind)
    expected = rounded(weight, kind, scale_is_bf16=True)
    for row in (0, 15, 31, 32, 39):
        np.testing.assert_allclose(matrix.row(row), expected[row], rtol=1e-6)


def test_a_kind_takes_the_memory_it_should():
    weight = normal(256, 640)
    sizes = {kind: _native.PackedMatrix(weight, kind).bytes for kind in KINDS}
    assert sizes == {"fp32": 256 * 640 * 4, "bf16": 256 * 640 * 2, "int8": 256 * 640 * 33 // 32}


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_weights_pack_as_their_float32_do(kind):
    weight = normal(40, 70).bfloat16()
    pair = [_native.PackedMatrix(weight, kind), _native.PackedMatrix(weight.float(), kind)]
    for row in range(40):
        np.testing.assert_array_equal(pair[0].row(row), pair[1].row(row))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_alike_alone_in_every_batch_and_with_any_threads(kind):
    x, matrix = normal(67, 200), _native.PackedMatrix(normal(333, 200, seed=1), kind)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = _native.linear(x, matrix)
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            for M in range(1, 68) if num_threads == 1 else (1, 7, 9, 33, 67):
                got = _native.linear(x[67 - M :].contiguous(), matrix)
                np.testing.assert_array_equal(got, expected[67 - M :])
    finally:
        torch.set_num_threads(before)


def test_rows_too_wide_for_the_caches_are_alike_alone():
    """Such outputs are written past the caches, one row of them is not."""
    x, matrix = normal(9, 8), _native.PackedMatrix(normal(131_076, 8, seed=1), "int8")
    together = _native.linear(x, matrix)
    for row in (0, 4, 8):
        np.testing.assert_array_equal(_native.linear(x[row : row + 1], matrix)[0], together[row])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("act", "function"),
    [
        ("none", lambda y: y),
        ("silu", F.silu),
        ("gelu_tanh", lambda y: F.gelu(y, approximate="tanh")),
        ("gelu", F.gelu),
        ("relu", F.relu),
    ],
)
def test_an_activation_is_torchs(kind, act, function):
    x, bias = normal(5, 64) * 3, normal(70, seed=2)
    matrix = _native.PackedMatrix(normal(70, 64, seed=1), kind)
    y = torch.from_numpy(_native.linear(x, matrix)) + bias
    np.testing.assert_allclose(
        _native.linear(x, matrix, bias, act), function(y.double()), rtol=1e-5, atol=2e-6
    )


def test_activations_hold_at_the_ends():
    extremes = torch.tensor([[-torch.inf], [-3e38], [-100.0], [-0.0], [100.0], [3e38], [torch.inf]])
    matrix = _native.PackedMatrix(torch.ones(1, 1), "fp32")
    for act in ("gelu_tanh", "gelu", "silu", "relu"):
        got = _native.linear(extremes, matrix, None, act)[:, 0]
        np.testing.assert_array_equal(got[1:4], [0, 0, 0])
        np.testing.assert_array_equal(got[4:], extremes[4:, 0])
        assert np.isnan(_native.linear(torch.full((1, 1), torch.nan), matrix, None, act)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [torch.nan, -torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_none_spoils_its_own_row_only(kind, bad):
    x, matrix = normal(12, 130), _native.PackedMatrix(normal(50, 130, seed=1), kind)
    good = _native.linear(x, matrix)
    x[7, 129] = bad
    got = _native.linear(x, matrix)
    assert not np.isfinite(got[7]).any()
    np.testing.assert_array_equal(np.delete(got, 7, 0), np.delete(good, 7, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_zero_matrices_give_the_bias(kind):
    bias = normal(5)
    assert _native.linear(normal(0, 8), _native.PackedMatrix(normal(5, 8), kind)).shape == (0, 5)
    assert _native.linear(normal(3, 8), _native.PackedMatrix(normal(0, 8), kind)).shape == (3, 0)
    for columns in (0, 8):
        matrix = _native.PackedMatrix(torch.zeros(5, columns), kind)
        got = _native.linear(normal(3, columns), matrix, bias)
        np.testing.assert_array_equal(got, bias.expand(3, 5))


def test_tiny_and_huge_weights_keep_their_size_in_int8():
    weight = torch.tensor([[1e-45, 0.0], [1e-38, -1e-38], [3e38, -1e30], [1.0, 1e-3]])
    matrix = _native.PackedMatrix(weight, "int8")
    for row in range(4):
        peak = weight[row].abs().max()
        assert np.abs(matrix.row(row) - weight[row].numpy()).max() <= max(peak / 127, 1e-40)


def aligned(content: np.ndarray) -> np.ndarray:
    room = np.zeros(content.size + 64, np.uint8)
    first = -room.ctypes.data % 64
    room[first : first + content.size] = content
    return room[first : first + content.size]


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_over_kept_bytes_is_the_packed_one_and_keeps_them(kind):
    x, packed = normal(5, 130), _native.PackedMatrix(normal(70, 130, seed=1), kind)
    content = packed.content()
    assert content.size == packed.bytes and not content.flags.writeable
    expected = _native.linear(x, packed)
    del packed  # the array holds on to its memory
    kept = _native.PackedMatrix.kept(aligned(content), 70, 130, kind)
    del content
    gc.collect()
    assert (kept.rows, kept.columns, kept.kind) == (70, 130, kind)
    np.testing.assert_array_equal(_native.linear(x, kept), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_kept_bytes_that_are_no_such_matrix_are_refused(kind):
    content = aligned(_native.PackedMatrix(normal(70, 130), kind).content())
    for rows, columns in [
        (70, 2**40),
        (2**63, 130),
        (2**62, 2**62),
        (97, 130),
        (70, 194),
        (64, 130),
        (0, 130),
    ]:
        with pytest.raises((ValueError, TypeError)):
            _native.PackedMatrix.kept(content, rows, columns, kind)
    beside = aligned(np.append(np.uint8(0), content))[1:]
    with pytest.raises(ValueError, match="begin at a multiple of 64"):
        _native.PackedMatrix.kept(beside, 70, 130, kind)
    with pytest.raises(ValueError, match="kind must be"):
        _native.PackedMatrix.kept(content, 70, 130, "int4")
    with pytest.raises(TypeError):
        _native.PackedMatrix.kept(content.astype(np.int16), 70, 130, kind)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_does_not_fit_is_refused_by_name(bad):
    weight = normal(4, 6)
    matrix = _native.PackedMatrix(weight, "int8")
    with pytest.raises(ValueError, match="kind must be fp32, bf16 or int8, not int4"):
        _native.PackedMatrix(weight, "int4")
    with pytest.raises(ValueError, match="x must have a column for each of the matrix"):
        _native.linear(normal(2, 5), matrix)
    with pytest.raises(ValueError, match="bias must have one entry a row"):
        _native.linear(normal(2, 6), matrix, normal(5))
    with pytest.raises(ValueError, match="act must be none, silu"):
        _native.linear(normal(2, 6), matrix, None, "swish")
    with pytest.raises(IndexError, match="4 rows"):
        matrix.row(4)
    weight[3, 5] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        _native.PackedMatrix(weight, "int8")


MULTIPLY = """
import numpy, sys
from potstill import _native
x, weight = numpy.load(sys.argv[1]).values()
for kind in ("fp32", "bf16", "int8"):
    print(_native.linear(x, _native.PackedMatrix(weight, kind)).tobytes().hex())
"""


def test_the_plain_kernels_agree_with_those_of_this_machine(tmp_path):
    """Float sums differ in their last bits; those of int8 are of whole numbers, and few roundings follow."""
    x, weight = normal(9, 333), normal(70, 333, seed=1)
    np.savez(tmp_path / "operands.npz", x, weight)
    command = [sys.executable, "-c", MULTIPLY, tmp_path / "operands.npz"]
    environment = {**os.environ, "POTSTILL_PLAIN_KERNELS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    for kind, line in zip(KINDS, ran.stdout.split(), strict=True):
        plain = np.frombuffer(bytes.fromhex(line), np.float32).reshape(9, 70)
        best = _native.linear(x, _native.PackedMatrix(weight, kind))
        tolerance = {"fp32": 1e-5, "bf16": 1e-4, "int8": 1e-6}[kind]
        np.testing.assert_allclose(plain, best, rtol=tolerance, atol=tolerance)
