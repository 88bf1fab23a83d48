"""The weights that training changes: computed with in one dtype, kept in float32.

A step of 1e-5 times a weight is lost in bfloat16, whose neighbours lie 4e-3 apart. So where the decoder
computes in bfloat16, each trained parameter has a float32 master: gradients are added up in the master's, the
optimizer changes the master, and the parameter is its rounded copy. In float32 a parameter is its own master.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from potstill.errors import DamagedError


class TrainedWeights:
    """A master of every parameter of `decoder` that requires a gradient; all of them compute in `dtype`.

    Buffers keep their dtype. `close` must follow when training ends.
    """

    def __init__(self, decoder: nn.Module, dtype: torch.dtype) -> None:
        self._parameters = {name: p for name, p in decoder.named_parameters() if p.requires_grad}
        self.masters: dict[str, Tensor] = dict(self._parameters)
        self._hooks: list[RemovableHandle] = []
        if dtype != torch.float32:
            self.masters = {name: p.detach().to(torch.float32) for name, p in self._parameters.items()}
            self._hooks = [_collect(p, self.masters[name]) for name, p in self._parameters.items()]
        for parameter in decoder.parameters():
            parameter.data = parameter.data.to(dtype)

    @torch.no_grad()
    def publish(self) -> None:
        """Round the masters into the parameters that the decoder computes with."""
        for name, parameter in self._parameters.items():
            if parameter is not self.masters[name]:
                parameter.copy_(self.masters[name])

    def drop_gradients(self) -> None:
        for master in self.masters.values():
            master.grad = None

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the masters; DamagedError unless names and shapes are the same."""
        if tensors.keys() != self.masters.keys():
            odd = sorted(tensors.keys() ^ self.masters.keys())
            raise DamagedError(
                f"The checkpoint's weights are not the ones trained here: {', '.join(odd[:3])}."
            )
        for name, master in self.masters.items():
            if tensors[name].shape != master.shape:
                raise DamagedError(
                    f"The checkpoint has {name} of shape {tuple(tensors[name].shape)}; "
                    f"the model's is {tuple(master.shape)}."
                )
            master.copy_(tensors[name])
        self.publish()

    def close(self, *, unrounded: bool) -> None:
        """Let go of the parameters; `unrounded` leaves the masters' own values in them, in float32."""
        for hook in self._hooks:
            hook.remove()
        self.drop_gradients()
        if unrounded:
            for name, parameter in self._parameters.items():
                parameter.data = self.masters[name].data


def _collect(parameter: nn.Parameter, master: Tensor) -> RemovableHandle:
    """Move every gradient of `parameter` into its master's as soon as it is complete, and free it."""

    def add_to_master(parameter: Tensor) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.to(torch.float32)
        master.grad = gradient if master.grad is None else master.grad.add_(gradient)
        parameter.grad = None

    hook: RemovableHandle = parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
        add_to_master
    )
    return hook
