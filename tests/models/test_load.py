"""Folders that cannot be what they say are refused before memory is taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json, write_json
from potstill.models.load import load_decoder


@pytest.fixture
def folder(saved_reference: Callable[[str], tuple[Any, Path]]) -> Path:
    return saved_reference("gemma3")[1]


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, **changes: object) -> None:
    write_json(folder / "config.json", read_json(folder / "config.json") | changes)


def test_matrices_get_the_dtype_and_norms_stay_exact(folder: Path) -> None:
    decoder = load_decoder(folder, dtype=torch.bfloat16)
    assert decoder.head_weight.dtype == torch.bfloat16
    assert decoder.model.norm.weight.dtype == torch.float32
    assert not decoder.training
    assert all(parameter.requires_grad for parameter in decoder.parameters())


def test_a_missing_tensor_is_named(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.__delitem__("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(DamagedError, match=r"lacks model.layers.1.mlp.up_proj.weight\."):
        load_decoder(folder, dtype=torch.float32)


def test_a_tensor_too_many_is_named(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({"model.layers.0.extra.weight": torch.ones(2)}))
    with pytest.raises(DamagedError, match=r"has, beyond .*, model.layers.0.extra.weight\."):
        load_decoder(folder, dtype=torch.float32)


def test_the_head_of_a_tied_model_may_be_written_twice(folder: Path) -> None:
    change_tensors(
        folder,
        lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}),
    )
    assert load_decoder(folder, dtype=torch.float32).config.tied


def test_a_tensor_of_another_shape_is_named(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(33)}))
    with pytest.raises(DamagedError, match=r"model.norm.weight has shape \[33\], its config says \[32\]"):
        load_decoder(folder, dtype=torch.float32)


def test_a_config_of_a_giant_takes_no_memory(folder: Path) -> None:
    change_config(folder, hidden_size=65536, intermediate_size=1 << 20, vocab_size=1 << 22)
    with pytest.raises(DamagedError, match="has shape"):
        load_decoder(folder, dtype=torch.float32)


def test_a_config_that_is_no_table_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("[1, 2]")
    with pytest.raises(DamagedError, match="holds no table"):
        load_decoder(folder, dtype=torch.float32)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="has no config.json"):
        load_decoder(tmp_path, dtype=torch.float32)


def test_nothing_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="There is no model at"):
        load_decoder(tmp_path / "gone", dtype=torch.float32)


GIANTS = {
    "gpt2": {"n_embd": 65536, "n_head": 1024, "n_positions": 1 << 26, "vocab_size": 1 << 22},
    "gpt_neox": {"hidden_size": 65536, "num_attention_heads": 1024, "intermediate_size": 1 << 20},
    "gptj": {"n_embd": 65536, "n_head": 1024, "vocab_size": 1 << 22},
    "opt": {"hidden_size": 65536, "num_attention_heads": 1024, "word_embed_proj_dim": 65536},
    "mistral": {"hidden_size": 65536, "vocab_size": 1 << 22},
    "gemma2": {"hidden_size": 65536, "vocab_size": 1 << 22},
}


@pytest.mark.parametrize("name", GIANTS)
def test_a_config_of_a_giant_of_any_family_takes_no_memory(
    saved_reference: Callable[[str], tuple[Any, Path]], name: str
) -> None:
    folder = saved_reference(name)[1]
    change_config(folder, **GIANTS[name])
    with pytest.raises(DamagedError, match="has shape"):
        load_decoder(folder, dtype=torch.float32)
