"""Weights from disk into a decoder: every tensor present, none too many, every shape right.

The shapes are compared before memory is taken, so what is taken is never more than the files hold.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json
from potstill.models.config import DecoderConfig
from potstill.models.decoder import Decoder
from potstill.models.hf_config import config_from_json

# Precomputed tables of old checkpoints, and the head of a tied model written twice.
_IGNORED_ENDINGS = ("rotary_emb.inv_freq",)


def load_decoder(path: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Decoder:
    """The decoder in a folder in Hugging Face layout or in a GGUF file.

    Matrices get `dtype`; norms stay in float32. DamagedError for a config or tensors that do not fit.
    """
    if path.is_dir():
        return _load_folder(path, dtype, device)
    if path.is_file():
        return _load_gguf(path, dtype, device)
    raise ModelMissing(f"There is no model at {path}.")


def read_config(folder: Path) -> DecoderConfig:
    """The config of a folder in Hugging Face layout."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelMissing(f"{folder} has no config.json, so it is no model in Hugging Face layout.")
    table = read_json(path)
    if not isinstance(table, dict):
        raise DamagedError(f"{path} holds no table.")
    return config_from_json(table, str(path))


def _load_folder(folder: Path, dtype: torch.dtype, device: torch.device | str) -> Decoder:
    from potstill.models.safetensors_file import SafetensorsFolder

    config = read_config(folder)
    decoder = _empty_decoder(config)
    file = SafetensorsFolder(folder)
    names = {name for name in file.names() if not name.endswith(_IGNORED_ENDINGS)}
    if config.tied:
        names.discard("lm_head.weight")
    wanted = dict(decoder.named_parameters())
    _check_names(str(folder), wanted, names)
    _check_shapes(str(folder), wanted, file.shape)
    return _filled(decoder, file.read, dtype, device)


def _load_gguf(path: Path, dtype: torch.dtype, device: torch.device | str) -> Decoder:
    from potstill.models.gguf_config import config_from_gguf
    from potstill.models.gguf_file import GgufFile
    from potstill.models.gguf_weights import ROPE_FACTORS, from_gguf, gguf_name, llama3_scaling

    file = GgufFile(path)
    names = set(file.tensor_names())
    if "token_embd.weight" not in names:
        raise DamagedError(f"{path} has no tensor token_embd.weight, so it is no language model.")
    config = config_from_gguf(
        file.metadata,
        vocab_size=file.shape("token_embd.weight")[0],
        tied="output.weight" not in names,
        biases=frozenset(name.removeprefix("blk.0.") for name in names if name.endswith(".bias")),
        where=str(path),
    )
    if ROPE_FACTORS in names:
        names.discard(ROPE_FACTORS)
        factors = torch.from_numpy(file.read(ROPE_FACTORS))
        scaled = llama3_scaling(config.rope, factors, config.head_dim, str(path))
        config = replace(config, rope=scaled, rope_local=scaled)
    decoder = _empty_decoder(config)
    stored_names = {name: gguf_name(config, name) for name, _ in decoder.named_parameters()}
    wanted = {stored_names[name]: parameter for name, parameter in decoder.named_parameters()}
    _check_names(str(path), wanted, names)
    _check_shapes(str(path), wanted, file.shape)

    def read(name: str) -> Tensor:
        return from_gguf(config, name, torch.from_numpy(file.read(stored_names[name])))

    return _filled(decoder, read, dtype, device)


def _empty_decoder(config: DecoderConfig) -> Decoder:
    with torch.device("meta"):
        return Decoder(config)


def _check_names(where: str, wanted: Iterable[str], found: set[str]) -> None:
    missing, extra = sorted(set(wanted) - found), sorted(found - set(wanted))
    for names, what in ((missing, "lacks"), (extra, "has, beyond what its config describes,")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise DamagedError(f"{where} {what} {', '.join(names[:3])}{more}. Fetch or convert it again.")


def _check_shapes(
    where: str, wanted: dict[str, nn.Parameter], shape: Callable[[str], tuple[int, ...]]
) -> None:
    for name, parameter in wanted.items():
        if tuple(shape(name)) != tuple(parameter.shape):
            raise DamagedError(
                f"{where}: {name} has shape {list(shape(name))}, its config says {list(parameter.shape)}."
            )


def _filled(
    decoder: Decoder, read: Callable[[str], Tensor], dtype: torch.dtype, device: torch.device | str
) -> Decoder:
    state = {}
    for name, _ in decoder.named_parameters():
        # The norms' share of the memory is nil and they are computed in float32 anyway.
        kind = torch.float32 if "norm" in name.split(".")[-2] else dtype
        state[name] = read(name).to(device=device, dtype=kind)
    decoder.load_state_dict(state, assign=True)
    return decoder.eval()
