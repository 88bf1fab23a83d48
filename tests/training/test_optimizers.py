"""Optimizers against the formulas of their papers, and a state that comes back bit for bit."""

import math

import pytest
import torch

from potstill.training.optimizers import NamedOptimizer
from potstill.training.settings import TrainingSettings


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    matrix, vector = torch.randn(6, 4, generator=generator), torch.randn(4, generator=generator)
    return {"layer.weight": matrix.requires_grad_(), "norm.weight": vector.requires_grad_()}


def give_gradients(named: dict[str, torch.Tensor], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for weight in named.values():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_the_first_adamw_step_is_the_learning_rate_against_the_gradients_sign():
    named = weights()
    before = {name: weight.detach().clone() for name, weight in named.items()}
    give_gradients(named, 0)
    NamedOptimizer(named, TrainingSettings(weight_decay=0.5)).step(1e-2)
    for name, weight in named.items():
        decayed = before[name] * (1 - 1e-2 * 0.5) if weight.dim() > 1 else before[name]
        torch.testing.assert_close(weight.detach(), decayed - 1e-2 * weight.grad.sign(), rtol=1e-5, atol=1e-6)


def test_the_second_adamw_step_follows_both_moments():
    named = {"w": torch.tensor([[1.0]], requires_grad=True)}
    optimizer = NamedOptimizer(named, TrainingSettings())
    for gradient in (2.0, -1.0):
        named["w"].grad = torch.tensor([[gradient]])
        optimizer.step(1e-3)
    mean = (0.9 * 0.1 * 2.0 + 0.1 * -1.0) / (1 - 0.9**2)
    square = (0.999 * 0.001 * 4.0 + 0.001 * 1.0) / (1 - 0.999**2)
    assert named["w"].item() == pytest.approx(1 - 1e-3 - 1e-3 * mean / (math.sqrt(square) + 1e-8), abs=1e-7)


def test_an_adafactor_step_is_relative_to_the_weights_size_and_factored():
    named = weights()
    matrix = named["layer.weight"]
    before = matrix.detach().clone()
    give_gradients(named, 0)
    NamedOptimizer(named, TrainingSettings(optimizer="adafactor")).step(1e-2)
    square = matrix.grad.double() ** 2
    estimate = square.mean(1, keepdim=True) * square.mean(0, keepdim=True) / square.mean()
    update = matrix.grad.double() / estimate.sqrt()
    update /= max(1.0, update.square().mean().sqrt().item())
    size = max(1e-3, before.double().square().mean().sqrt().item())
    torch.testing.assert_close(matrix.detach().double(), before - 1e-2 * size * update, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_a_restored_state_continues_to_the_same_bits(name):
    settings = TrainingSettings(optimizer=name)
    named = weights()
    optimizer = NamedOptimizer(named, settings)
    for step in range(3):
        give_gradients(named, step)
        optimizer.step(1e-2)
    copied = {key: weight.detach().clone().requires_grad_() for key, weight in named.items()}
    restored = NamedOptimizer(copied, settings)
    restored.load_state(optimizer.state())
    for both, steps in ((named, optimizer), (copied, restored)):
        give_gradients(both, 3)
        steps.step(1e-2)
    assert all(torch.equal(named[key], copied[key]) for key in named)


def test_adafactor_keeps_no_second_moment_for_each_weight():
    named = {"w": torch.zeros(64, 64, requires_grad=True)}
    optimizer = NamedOptimizer(named, TrainingSettings(optimizer="adafactor"))
    give_gradients(named, 0)
    optimizer.step(1e-2)
    assert sum(tensor.numel() for tensor in optimizer.state().values()) == 64 + 64 + 1


@pytest.mark.parametrize(("name", "places"), [("adamw", {"meta"}), ("adafactor", {"meta", "cpu"})])
def test_a_state_read_from_disk_goes_where_the_weights_are(name, places):
    settings = TrainingSettings(optimizer=name)
    named = weights()
    optimizer = NamedOptimizer(named, settings)
    give_gradients(named, 0)
    optimizer.step(1e-2)
    # `meta` stands for any device that is not the CPU, on which every checkpoint is read.
    elsewhere = {key: weight.detach().to("meta").requires_grad_() for key, weight in named.items()}
    restored = NamedOptimizer(elsewhere, settings)
    restored.load_state(optimizer.state())
    assert {tensor.device.type for tensor in restored.state().values()} == places
