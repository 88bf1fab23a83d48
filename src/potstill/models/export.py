"""A decoder to a folder in Hugging Face layout, which transformers and llama.cpp's converter read."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from potstill.files import write_json, writing_folder
from potstill.models.adapters import adapted_layers
from potstill.models.checkpoint_names import published_name
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.hf_config import config_to_json


class SavedTokenizer(Protocol):
    """What is needed of a tokenizer; `tokenization.tokenizer.Tokenizer` is one."""

    @property
    def bos_id(self) -> int | None: ...

    @property
    def eos_ids(self) -> tuple[int, ...]: ...

    def save(self, folder: Path) -> None: ...


def save_decoder(
    decoder: Decoder, tokenizer: SavedTokenizer, folder: Path, *, dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write config.json, generation_config.json, model.safetensors in `dtype` and the tokenizer's files.

    The folder appears whole or not at all. A tied head is written once, as the embedding. An adapter must be
    merged first, or saved on its own.
    """
    from safetensors.torch import save_file

    if adapted_layers(decoder):
        raise ValueError("the decoder carries an adapter: merge it, or save it with save_adapter")
    config = _with_token_ids(decoder.config, tokenizer)
    with writing_folder(folder) as partial:
        write_json(partial / "config.json", config_to_json(config, dtype))
        write_json(partial / "generation_config.json", _generation_config(config))
        save_file(_tensors(decoder, dtype), partial / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(partial)


def _with_token_ids(config: DecoderConfig, tokenizer: SavedTokenizer) -> DecoderConfig:
    bos_id = tokenizer.bos_id if config.bos_token_id is None else config.bos_token_id
    return replace(config, bos_token_id=bos_id, eos_token_ids=config.eos_token_ids or tokenizer.eos_ids)


def _generation_config(config: DecoderConfig) -> dict[str, Any]:
    json = config_to_json(config, torch.float32)
    return {name: json[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _tensors(decoder: Decoder, dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        published_name(decoder.config, name): parameter.detach().to(device="cpu", dtype=dtype).contiguous()
        for name, parameter in decoder.named_parameters()
    }
