import pytest
import torch

from potstill.layers.norms import RMSNorm


def test_rows_are_divided_by_their_root_mean_square() -> None:
    norm = RMSNorm(5, eps=1e-6)
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    norm.weight.data = torch.tensor([1.0, 2.0, 0.5, -1.0, 3.0])
    expected = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected)


def test_an_offset_of_one_is_a_weight_one_larger() -> None:
    plain, offset = RMSNorm(4, eps=1e-5), RMSNorm(4, eps=1e-5, offset=1)
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(plain(x), offset(x))
    plain.weight.data += 0.25
    offset.weight.data += 0.25
    torch.testing.assert_close(plain(x), offset(x))


def test_bfloat16_rows_are_normalised_in_float32() -> None:
    norm = RMSNorm(640, eps=1e-6, offset=1)
    norm.weight.data = torch.randn(640, generator=torch.Generator().manual_seed(1))
    x = torch.randn(4, 640, generator=torch.Generator().manual_seed(2)).bfloat16()
    got = norm(x)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, norm(x.float()).bfloat16())


@pytest.mark.parametrize("shape", [(6, 5), (3, 2, 5)])
def test_gradients_are_those_of_the_formula(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    x, direction = torch.randn(2, *shape, generator=generator)
    norm = RMSNorm(5, eps=1e-3, offset=1)
    norm.weight.data = torch.randn(5, generator=generator)
    x.requires_grad_()
    expected = x / (x.pow(2).mean(-1, keepdim=True) + 1e-3).sqrt() * (1 + norm.weight)
    for gradient, wanted in zip(
        torch.autograd.grad((norm(x) * direction).sum(), (x, norm.weight)),
        torch.autograd.grad((expected * direction).sum(), (x, norm.weight)),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted)
