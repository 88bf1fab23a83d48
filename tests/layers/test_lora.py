import pytest
import torch
from torch import Tensor, nn

from potstill.layers.lora import LoraLinear


def make_layer(*, dropout: float = 0.0, bias: bool = True) -> tuple[LoraLinear, nn.Linear]:
    torch.manual_seed(1)
    base = nn.Linear(6, 4, bias=bias)
    layer = LoraLinear(base, rank=3, alpha=6.0, dropout=dropout, generator=torch.Generator().manual_seed(2))
    return layer, base


@pytest.fixture
def x() -> Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(3))


def test_a_new_layer_computes_what_its_base_does(x: Tensor) -> None:
    layer, base = make_layer()
    assert torch.equal(layer(x), base(x))


def test_the_addition_is_scaled_by_alpha_over_rank(x: Tensor) -> None:
    layer, base = make_layer()
    nn.init.normal_(layer.lora_B)
    torch.testing.assert_close(layer(x), base(x) + 2.0 * x @ layer.lora_A.T @ layer.lora_B.T)


@pytest.mark.parametrize("bias", [True, False])
def test_merged_equals_unmerged_and_without_equals_the_base(x: Tensor, bias: bool) -> None:
    layer, base = make_layer(bias=bias)
    expected_without = base(x)
    nn.init.normal_(layer.lora_B)
    expected = layer(x)
    assert torch.equal(layer.without()(x), expected_without)
    torch.testing.assert_close(layer.merged()(x), expected)


def test_dropout_works_on_the_addition_only_and_only_in_training(x: Tensor) -> None:
    layer, base = make_layer(dropout=0.5)
    nn.init.normal_(layer.lora_B)
    without_dropout = layer.eval()(x)
    assert torch.equal(layer(x), without_dropout)
    layer.train()
    torch.manual_seed(4)
    first = layer(x)
    assert not torch.allclose(first, without_dropout)
    torch.manual_seed(4)
    assert torch.equal(layer(x), first)
    mean = torch.stack([layer(x) for _ in range(4000)]).mean(0)
    # The mean of 4,000 draws lies within five of its standard errors of the sum it estimates.
    assert (mean - without_dropout).abs().max() < 5 * (first - without_dropout).abs().max() / 4000**0.5


def test_a_bfloat16_base_keeps_float32_additions(x: Tensor) -> None:
    _, base = make_layer()
    layer = LoraLinear(
        base.bfloat16(), rank=3, alpha=6.0, dropout=0.0, generator=torch.Generator().manual_seed(2)
    )
    assert layer.lora_A.dtype == torch.float32
    assert layer(x.bfloat16()).dtype == torch.bfloat16
