"""Digests of all that a training run depends on, so that a checkpoint is never continued as another run."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from potstill.errors import RefusedError
from potstill.settings import to_table
from potstill.tasks.example import Example
from potstill.training.settings import TrainingSettings


def identity_of(
    decoder: nn.Module, examples: Sequence[Example], settings: TrainingSettings
) -> dict[str, str]:
    """sha256 of the settings, the examples and every weight before the first step."""
    # When a run is saved does not change what it computes.
    relevant = replace(settings, checkpoint_every=1)
    return {
        "settings": hashlib.sha256(repr(sorted(to_table(relevant).items())).encode()).hexdigest(),
        "examples": _digest_of_examples(examples),
        "first weights": _digest_of_weights(decoder),
    }


def check_identity(found: Mapping[str, str], expected: Mapping[str, str], where: str) -> None:
    """RefusedError naming what differs."""
    if differing := [name for name in expected if found.get(name) != expected[name]]:
        raise RefusedError(
            f"{where} holds checkpoints of a training with other {', '.join(differing)}. "
            f"Give another folder, or remove this one to start again."
        )


def _digest_of_examples(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        for ids in example:
            digest.update(np.array([len(ids), *ids], dtype="<i8").tobytes())
    return digest.hexdigest()


def _digest_of_weights(decoder: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, parameter in decoder.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
