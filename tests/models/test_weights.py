"""Any module from any source: names and shapes first, then memory."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from potstill.errors import DamagedError
from potstill.layers.norms import LayerNorm
from potstill.models.weights import empty, fill


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.ln = nn.Linear(3, 2), LayerNorm(2, 1e-5)


class Source:
    """Tensors of these shapes, each filled with its place in the list; reading is counted."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.shapes = {name.replace("__", "."): shape for name, shape in shapes.items()}
        self.read_names: list[str] = []

    def names(self) -> Iterable[str]:
        return self.shapes

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def read(self, name: str) -> Tensor:
        self.read_names.append(name)
        return torch.full(self.shapes[name], float(list(self.shapes).index(name)), dtype=torch.float16)


WHOLE = {"linear__weight": (2, 3), "linear__bias": (2,), "ln__weight": (2,), "ln__bias": (2,)}


def test_matrices_get_the_dtype_and_norms_stay_float32() -> None:
    module = fill(empty(Two), Source(**WHOLE), "there", dtype=torch.bfloat16)
    assert [parameter.dtype for parameter in module.parameters()] == [torch.bfloat16] * 2 + [
        torch.float32
    ] * 2
    assert [float(parameter.detach().mean()) for parameter in module.parameters()] == [0, 1, 2, 3]
    assert not module.training and all(parameter.requires_grad for parameter in module.parameters())


def test_stored_names_conversions_and_what_is_passed_over() -> None:
    source = Source(**{f"old.{name}": shape for name, shape in WHOLE.items()}, mask=(9, 9))
    module = fill(
        empty(Two),
        source,
        "there",
        dtype=torch.float32,
        stored_name=lambda name: f"old.{name}",
        converted=lambda name, stored: stored + 1 if name.startswith("ln") else stored,
        is_ignored=lambda name: name == "mask",
    )
    assert [float(parameter.detach().mean()) for parameter in module.parameters()] == [0, 1, 3, 4]
    assert "mask" not in source.read_names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"linear__weight": None}, r"there lacks linear\.weight\."),
        ({"more": (1,)}, r"there has, beyond what its config describes, more\."),
        ({"ln__bias": (3,)}, r"there: ln\.bias has shape \[3\], its config says \[2\]"),
        ({"linear__weight": (3, 2)}, r"linear\.weight has shape \[3, 2\], its config says \[2, 3\]"),
        ({"linear__weight": (1 << 40, 1 << 40)}, r"linear\.weight has shape"),
    ],
)
def test_nothing_is_read_where_names_or_shapes_differ(
    changes: dict[str, tuple[int, ...] | None], message: str
) -> None:
    shapes = {name: shape for name, shape in (WHOLE | changes).items() if shape is not None}
    source = Source(**shapes)
    with pytest.raises(DamagedError, match=message):
        fill(empty(Two), source, "there", dtype=torch.float32)
    assert source.read_names == []
