"""AdamW and Adafactor over named float32 weights, with a state that can be written down and put back."""

from collections.abc import Mapping

import torch
from torch import Tensor

from potstill.errors import DamagedError
from potstill.training.settings import TrainingSettings

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPS = 1e-8


class NamedOptimizer:
    """A torch optimizer whose state is a flat table of tensors, `<weight>.<state>` -> tensor."""

    def __init__(self, weights: Mapping[str, Tensor], settings: TrainingSettings) -> None:
        self._weights = dict(weights)
        self._optimizer = _build(list(self._weights.values()), settings)

    def step(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()

    def state(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": value
            for name, weight in self._weights.items()
            for key, value in self._optimizer.state.get(weight, {}).items()
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave; the tensors are copied."""
        # A name's own dots are part of the weight's name; the state's key is what follows the last one.
        for full_name, value in tensors.items():
            name, _, key = full_name.rpartition(".")
            if name not in self._weights:
                raise DamagedError(
                    f"The checkpoint has optimizer state for {name}, which is not trained here."
                )
            self._optimizer.state[self._weights[name]][key] = self._placed(key, value, self._weights[name])

    def _placed(self, key: str, value: Tensor, weight: Tensor) -> Tensor:
        """A copy where torch keeps such a state: the number of steps stays on the CPU unless fused."""
        is_beside_weight = key != "step" or self._optimizer.defaults.get("fused")
        return value.to(weight.device if is_beside_weight else "cpu", copy=True)


def _build(weights: list[Tensor], settings: TrainingSettings) -> torch.optim.Optimizer:
    # Decay pulls a vector (a norm's scale, a bias) towards 0, where it means nothing; see the GPT-2 recipe.
    groups = [
        {
            "params": [weight for weight in weights if weight.dim() >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adafactor":
        return torch.optim.Adafactor(groups, lr=settings.learning_rate)
    # Fused: one pass over weight, gradient and both moments, and no temporaries of the weights' size.
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=_ADAM_BETAS, eps=_ADAM_EPS, fused=True)
