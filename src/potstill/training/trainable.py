"""Which parameters a training changes, and in which dtype the model computes."""

from typing import TYPE_CHECKING

import torch

from potstill.devices import bf16_is_faster
from potstill.seeds import derive_seed
from potstill.training.settings import DtypeName, TrainingSettings

if TYPE_CHECKING:
    from potstill.models.decoder import Decoder

_EMBEDDINGS = ("embed_tokens", "embed_in", "wte", "lm_head")
LORA_RANK = 16


def make_trainable(decoder: "Decoder", settings: TrainingSettings) -> None:
    """Set requires_grad on what `settings` trains and on nothing else; LoRA's additions are put in first."""
    decoder.requires_grad_(False)
    if settings.method == "lora":
        _add_lora(decoder, settings)
        return
    for name, parameter in decoder.named_parameters():
        parameter.requires_grad_(settings.trains_embeddings or not _is_embedding(name))


def choose_dtype(settings: TrainingSettings, device: torch.device) -> DtypeName:
    """`bf16` or `fp32`: what the settings say, or what this device computes faster."""
    if settings.dtype != "auto":
        return settings.dtype
    return "bf16" if bf16_is_faster(device.type) else "fp32"


def _add_lora(decoder: "Decoder", settings: TrainingSettings) -> None:
    from potstill.models.adapters import LoraConfig, add_lora

    rank = settings.lora_rank or LORA_RANK
    config = LoraConfig(
        rank=rank,
        alpha=settings.lora_alpha or 2 * rank,
        dropout=settings.lora_dropout or 0.0,
        target_modules=settings.lora_targets,
    )
    add_lora(decoder, config, derive_seed(settings.seed, "lora"))


def _is_embedding(name: str) -> bool:
    return any(part in _EMBEDDINGS for part in name.split("."))
