"""Tensors from a source into any module: every one present, none too many, every shape right.

Names and shapes are compared before memory is taken, so what is taken is never more than the files hold.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from potstill.errors import DamagedError
from potstill.layers.norms import LayerNorm, RMSNorm

Module = TypeVar("Module", bound=nn.Module)


class TensorSource(Protocol):
    """Named tensors on the disk; `models.safetensors_file.SafetensorsFolder` is one."""

    def names(self) -> Iterable[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> Tensor:
        """In the type the file keeps."""
        ...


def _same_name(name: str) -> str:
    return name


def _same_tensor(name: str, stored: Tensor) -> Tensor:
    return stored


def empty(make: Callable[[], Module]) -> Module:
    """What `make` builds, its parameters without memory until `fill` gives them some."""
    with torch.device("meta"):
        return make()


def fill(
    module: Module,
    source: TensorSource,
    where: str,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    stored_name: Callable[[str], str] = _same_name,
    converted: Callable[[str, Tensor], Tensor] = _same_tensor,
    is_ignored: Callable[[str], bool] = lambda name: False,
    stays_float32: Callable[[str], bool] = lambda name: False,
) -> Module:
    """`module` with its parameters from `source`, ready to run; DamagedError where names or shapes differ.

    where         the source's path, for messages
    dtype         of all parameters but those of norms and of `stays_float32`, by name, which are float32
    stored_name   a parameter's name to the one the source has it under
    converted     (a parameter's name, what was read) to what the parameter is; the shape stays
    is_ignored    whether a name of the source may be there without a parameter
    """
    stored = {stored_name(name): parameter for name, parameter in module.named_parameters()}
    _check_names(where, stored, {name for name in source.names() if name in stored or not is_ignored(name)})
    _check_shapes(where, stored, source)
    state = {}
    for name, _ in module.named_parameters():
        # The norms' share of the memory is nil and they are computed in float32 anyway.
        kind = torch.float32 if _belongs_to_norm(module, name) or stays_float32(name) else dtype
        state[name] = converted(name, source.read(stored_name(name))).to(device=device, dtype=kind)
    module.load_state_dict(state, assign=True)
    return module.eval()


def _belongs_to_norm(module: nn.Module, name: str) -> bool:
    return isinstance(module.get_submodule(name.rpartition(".")[0]), RMSNorm | LayerNorm)


def _check_names(where: str, wanted: Iterable[str], found: set[str]) -> None:
    missing, extra = sorted(set(wanted) - found), sorted(found - set(wanted))
    for names, what in ((missing, "lacks"), (extra, "has, beyond what its config describes,")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise DamagedError(f"{where} {what} {', '.join(names[:3])}{more}. Fetch or convert it again.")


def _check_shapes(where: str, wanted: dict[str, nn.Parameter], source: TensorSource) -> None:
    for name, parameter in wanted.items():
        shape = tuple(source.shape(name))
        if shape != tuple(parameter.shape):
            raise DamagedError(
                f"{where}: {name} has shape {list(shape)}, its config says {list(parameter.shape)}."
            )
