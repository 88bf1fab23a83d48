"""LoRA on a decoder: put in, saved, loaded, merged, taken out.

Files are in PEFT's format: adapter_config.json and adapter_model.safetensors; the older pickled weights are
never read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from potstill.errors import ConfigError, DamagedError, ModelMissing
from potstill.files import write_json, writing_folder
from potstill.layers.lora import LoraLinear
from potstill.layers.transposed_linear import TransposedLinear
from potstill.models.adapter_config import CONFIG_NAME, Addition, config_to_json, read_addition
from potstill.models.decoder import Decoder
from potstill.seeds import derive_seed

WEIGHTS_NAME = "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_FLOATS = {"F32", "F16", "BF16"}
_MAX_RANK = 4096


@dataclass(frozen=True)
class LoraConfig:
    """Which projections get an addition, and of what kind.

    rank            of each addition, in [1, 4096]
    alpha           an addition is scaled by alpha / rank, > 0
    dropout         share of an addition's inputs dropped while training, in [0, 1)
    target_modules  last names of projections (`q_proj`), or whole paths (`model.layers.0.self_attn.q_proj`);
                    None is every projection of every layer
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        checks = (
            ("rank", self.rank, 1 <= self.rank <= _MAX_RANK, f"in [1, {_MAX_RANK}]"),
            ("alpha", self.alpha, 0 < self.alpha < float("inf"), "a finite number > 0"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "in [0, 1)"),
            ("target_modules", self.target_modules, self.target_modules != (), "at least one name"),
        )
        for name, value, holds, range_text in checks:
            if not holds:
                raise ConfigError(f"LoRA's {name} is {value}; it must be {range_text}.")


def add_lora(decoder: Decoder, config: LoraConfig, seed: int) -> None:
    """Freeze the decoder and put an addition that starts at zero beside each target.

    ConfigError for a target that is no projection of the layers, or if there is an adapter already.
    """
    if adapted_layers(decoder):
        raise ConfigError("The model carries an adapter already: merge or remove it first.")
    paths = _targets(decoder, config.target_modules)
    decoder.requires_grad_(False)
    for path in paths:
        _replace(decoder, path, _lora_beside(decoder, path, config, seed))


def adapted_layers(decoder: Decoder) -> dict[str, LoraLinear]:
    """The layers with an addition, by path."""
    return {path: module for path, module in decoder.named_modules() if isinstance(module, LoraLinear)}


def merge_lora(decoder: Decoder) -> None:
    """Add every addition to its weight, rounded to the weight's type; the decoder is plain and trainable."""
    for path, layer in adapted_layers(decoder).items():
        _replace(decoder, path, layer.merged())
    decoder.requires_grad_(True)


def remove_lora(decoder: Decoder) -> None:
    """Drop every addition; the decoder is as it was before, and trainable."""
    for path, layer in adapted_layers(decoder).items():
        _replace(decoder, path, layer.without())
    decoder.requires_grad_(True)


def save_adapter(decoder: Decoder, folder: Path, base_model_name: str) -> None:
    """Write the decoder's adapter as PEFT does; the folder appears whole or not at all."""
    from safetensors.torch import save_file

    layers = adapted_layers(decoder)
    if not layers:
        raise ValueError("the decoder carries no adapter")
    first = next(iter(layers.values()))
    addition, targets = Addition(first.rank, first.alpha, first.dropout), _target_names(decoder, set(layers))
    tensors = {}
    for path, layer in layers.items():
        tensors[_tensor_name(path, "A")] = layer.lora_A.detach().cpu().contiguous()
        tensors[_tensor_name(path, "B")] = layer.lora_B.detach().cpu().contiguous()
    with writing_folder(folder) as partial:
        config = config_to_json(addition, targets, base_model_name, first.is_transposed)
        write_json(partial / CONFIG_NAME, config)
        save_file(tensors, partial / WEIGHTS_NAME, metadata={"format": "pt"})


def load_adapter(decoder: Decoder, folder: Path) -> None:
    """Put the adapter in `folder` beside the decoder's weights, which are frozen.

    DamagedError for what this version cannot compute, and for tensors that do not fit the decoder.
    """
    addition = read_addition(folder)
    try:
        config = LoraConfig(*addition)
    except ConfigError as error:
        raise DamagedError(f"{folder / CONFIG_NAME}: {error}") from None
    tensors = _read_tensors(folder, _wanted_shapes(decoder, addition.rank))
    paths = tuple(sorted({path for path, _ in tensors}))
    add_lora(decoder, replace(config, target_modules=paths), seed=0)
    for path, layer in adapted_layers(decoder).items():
        layer.load(tensors[path, "A"], tensors[path, "B"])


def projection_paths(decoder: Decoder) -> list[str]:
    """Every layer that can be adapted, by path, in the order of the decoder."""
    return [
        path
        for path, module in decoder.named_modules()
        if isinstance(module, nn.Linear | TransposedLinear | LoraLinear) and path != "lm_head"
    ]


def projection_names(decoder: Decoder) -> list[str]:
    """The last names of those, each once."""
    return list(dict.fromkeys(path.rpartition(".")[2] for path in projection_paths(decoder)))


def _targets(decoder: Decoder, names: Iterable[str] | None) -> list[str]:
    """The paths that `names` mean, each of which must mean at least one."""
    known = projection_paths(decoder)
    if names is None:
        return known
    chosen: set[str] = set()
    for name in names:
        found = [path for path in known if path == name or path.endswith(f".{name}")]
        if not found:
            raise ConfigError(
                f"LoRA's target_modules has {name!r}, which is no projection of this model's layers; "
                f"it has {', '.join(projection_names(decoder))}."
            )
        chosen.update(found)
    return [path for path in known if path in chosen]


def _lora_beside(decoder: Decoder, path: str, config: LoraConfig, seed: int) -> LoraLinear:
    base = decoder.get_submodule(path)
    assert isinstance(base, nn.Linear | TransposedLinear)
    generator = torch.Generator().manual_seed(derive_seed(seed, "lora", path))
    layer = LoraLinear(
        base, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator
    )
    return layer.train(base.training)


def _replace(decoder: Decoder, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(decoder.get_submodule(parent), name, module)


def _tensor_name(path: str, letter: str) -> str:
    return f"base_model.model.{path}.lora_{letter}.weight"


def _target_names(decoder: Decoder, paths: set[str]) -> list[str]:
    """Last names where they mean these layers and no others, whole paths elsewhere."""
    names = {path.rpartition(".")[2] for path in paths}
    meant = {path for path in projection_paths(decoder) if path.rpartition(".")[2] in names}
    return sorted(names if meant == paths else paths)


def _wanted_shapes(decoder: Decoder, rank: int) -> dict[tuple[str, str], tuple[int, ...]]:
    shapes: dict[tuple[str, str], tuple[int, ...]] = {}
    for path in projection_paths(decoder):
        out_features, in_features = projection_shape(decoder, path)
        shapes[path, "A"], shapes[path, "B"] = (rank, in_features), (out_features, rank)
    return shapes


def projection_shape(decoder: Decoder, path: str) -> tuple[int, int]:
    """Outputs and inputs of the projection at `path`, however its weight is kept."""
    module = decoder.get_submodule(path)
    rows, columns = decoder.get_parameter(f"{path}.weight").shape
    is_transposed = isinstance(module, TransposedLinear) or getattr(module, "is_transposed", False)
    return (columns, rows) if is_transposed else (rows, columns)


def _read_tensors(
    folder: Path, wanted: Mapping[tuple[str, str], tuple[int, ...]]
) -> dict[tuple[str, str], Tensor]:
    """A and B of each adapted path; names, shapes and types are compared before any is read."""
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise ModelMissing(f"{folder} has no {WEIGHTS_NAME}; pickled weights (.bin) are not read.")
    tensors = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                tensors[_checked_key(path, name, file.get_slice(name), wanted)] = file.get_tensor(name)
    except SafetensorError as error:
        raise DamagedError(f"{path} is not a whole safetensors file ({error}).") from None
    halves = [(where, "B" if letter == "A" else "A") for where, letter in tensors]
    lacking = [_tensor_name(*half) for half in halves if half not in tensors]
    if lacking or not tensors:
        raise DamagedError(f"{path} lacks {lacking[0] if lacking else 'any tensor'}.")
    return tensors


def _checked_key(
    path: Path, name: str, piece: Any, wanted: Mapping[tuple[str, str], tuple[int, ...]]
) -> tuple[str, str]:
    match = _TENSOR.fullmatch(name)
    key = (match[1], match[2]) if match else ("", "")
    if key not in wanted:
        raise DamagedError(f"{path} has {name!r}, which belongs to no projection of this model.")
    shape = tuple(piece.get_shape())
    if shape != wanted[key] or piece.get_dtype() not in _FLOATS:
        raise DamagedError(
            f"{path}: {name} has shape {list(shape)} and type {piece.get_dtype()}; "
            f"the model and the rank need {list(wanted[key])} and one of {', '.join(sorted(_FLOATS))}."
        )
    return key
