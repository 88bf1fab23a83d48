"""A decoder from the disk: its config read and checked, its weights compared with it and filled in."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from potstill.errors import DamagedError, ModelMissing
from potstill.models.checkpoint_names import is_no_parameter, names_in
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.gguf_file import GgufFile
from potstill.models.hf_config import config_from_json
from potstill.models.registry import read_table
from potstill.models.weights import empty, fill


def load_decoder(path: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Decoder:
    """The decoder in a folder in Hugging Face layout or in a GGUF file.

    Matrices get `dtype`; norms stay in float32. DamagedError for a config or tensors that do not fit.
    """
    if path.is_dir():
        return _load_folder(path, dtype, device)
    if path.is_file():
        return _load_gguf(path, dtype, device)
    raise ModelMissing(f"There is no model at {path}.")


def decoder_shapes(path: Path, *, dtype: torch.dtype) -> Decoder:
    """The same without its weights: parameters of its shapes and of `dtype` on torch's meta device."""
    config = read_config(path) if path.is_dir() else _gguf_config(GgufFile(path))
    return empty(partial(Decoder, config)).to(dtype)


def read_config(folder: Path) -> DecoderConfig:
    """The config of a folder in Hugging Face layout."""
    return config_from_json(read_table(folder), str(folder / "config.json"))


def _load_folder(folder: Path, dtype: torch.dtype, device: torch.device | str) -> Decoder:
    from potstill.models.safetensors_file import SafetensorsFolder

    config = read_config(folder)
    source = SafetensorsFolder(folder)
    decoder = empty(partial(Decoder, config))
    return fill(
        decoder,
        source,
        str(folder),
        dtype=dtype,
        device=device,
        stored_name=names_in(config, frozenset(source.names()), decoder.body_path.partition(".")[0]),
        is_ignored=partial(is_no_parameter, config),
    )


def _load_gguf(path: Path, dtype: torch.dtype, device: torch.device | str) -> Decoder:
    from potstill.models.gguf_source import GgufSource
    from potstill.models.gguf_weights import ROPE_FACTORS, from_gguf, gguf_name, is_transposed

    file = GgufFile(path)
    config = _gguf_config(file)

    def converted(name: str, stored: Tensor) -> Tensor:
        return from_gguf(config, name, stored)

    return fill(
        empty(partial(Decoder, config)),
        GgufSource(
            file,
            dtype=dtype,
            apart=frozenset([ROPE_FACTORS]),
            is_transposed=partial(is_transposed, config),
        ),
        str(path),
        dtype=dtype,
        device=device,
        stored_name=partial(gguf_name, config),
        converted=converted,
    )


def _gguf_config(file: GgufFile) -> DecoderConfig:
    from potstill.models.gguf_config import config_from_gguf
    from potstill.models.gguf_weights import ROPE_FACTORS, llama3_scaling

    names, where = set(file.tensor_names()), str(file.path)
    if "token_embd.weight" not in names:
        raise DamagedError(f"{where} has no tensor token_embd.weight, so it is no language model.")
    config = config_from_gguf(
        file.metadata,
        vocab_size=file.shape("token_embd.weight")[0],
        tied="output.weight" not in names,
        biases=frozenset(name.removeprefix("blk.0.") for name in names if name.endswith(".bias")),
        where=where,
    )
    if ROPE_FACTORS not in names:
        return config
    factors = torch.from_numpy(file.read(ROPE_FACTORS))
    scaled = llama3_scaling(config.rope, factors, config.head_dim, where)
    return replace(config, rope=scaled, rope_local=scaled)
