"""What is written loads again, here and in transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from potstill.files import read_json
from potstill.layers.attention import PackedAttention
from potstill.models.adapters import LoraConfig, add_lora
from potstill.models.export import SavedTokenizer, save_decoder
from potstill.models.load import load_decoder

SavedReference = Callable[[str], tuple[Any, Path]]


def test_an_exported_decoder_has_equal_logits_in_transformers(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, family: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model, folder = saved_reference(family)
    decoder = load_decoder(folder, dtype=torch.float32)
    save_decoder(decoder, tokenizer, tmp_path / "exported", dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert type(theirs) is type(model)
    assert theirs.dtype == torch.float32
    token_ids = torch.arange(3, 20)
    with torch.inference_mode():
        expected = model(token_ids[None]).logits[0]
        torch.testing.assert_close(theirs(token_ids[None]).logits[0], expected, atol=1e-5, rtol=0)
        got = decoder.logits(decoder(token_ids, PackedAttention([17])))
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_an_exported_decoder_loads_as_itself(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, family: str, tmp_path: Path
) -> None:
    decoder = load_decoder(saved_reference(family)[1], dtype=torch.float32)
    save_decoder(decoder, tokenizer, tmp_path / "exported", dtype=torch.float32)
    again = load_decoder(tmp_path / "exported", dtype=torch.float32)
    assert again.config == decoder.config
    for parameter, expected in zip(again.parameters(), decoder.parameters(), strict=True):
        assert torch.equal(parameter, expected)


def test_weights_are_written_once_in_bfloat16_with_all_files_beside_them(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, tmp_path: Path
) -> None:
    decoder = load_decoder(saved_reference("gemma3")[1], dtype=torch.float32)
    save_decoder(decoder, tokenizer, tmp_path / "exported")
    tensors = load_file(tmp_path / "exported" / "model.safetensors")
    assert "lm_head.weight" not in tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    config = read_json(tmp_path / "exported" / "config.json")
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    assert config["torch_dtype"] == "bfloat16"


def test_equal_decoders_are_equal_bytes(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, tmp_path: Path
) -> None:
    decoder = load_decoder(saved_reference("llama")[1], dtype=torch.float32)
    for name in ("first", "second"):
        save_decoder(decoder, tokenizer, tmp_path / name)
    for file in sorted((tmp_path / "first").iterdir()):
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_a_write_that_fails_leaves_the_old_folder(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, tmp_path: Path
) -> None:
    class Failing:
        bos_id, eos_ids = 2, (1,)

        def save(self, folder: Path) -> None:
            raise RuntimeError("no")

    decoder = load_decoder(saved_reference("llama")[1], dtype=torch.float32)
    save_decoder(decoder, tokenizer, tmp_path / "exported")
    before = (tmp_path / "exported" / "model.safetensors").read_bytes()
    with pytest.raises(RuntimeError):
        save_decoder(decoder, Failing(), tmp_path / "exported", dtype=torch.float32)
    assert (tmp_path / "exported" / "model.safetensors").read_bytes() == before


def test_an_adapted_decoder_is_not_exported_without_its_adapter(
    saved_reference: SavedReference, tokenizer: SavedTokenizer, tmp_path: Path
) -> None:
    decoder = load_decoder(saved_reference("llama")[1], dtype=torch.float32)
    add_lora(decoder, LoraConfig(rank=2), seed=1)
    with pytest.raises(ValueError, match="merge it"):
        save_decoder(decoder, tokenizer, tmp_path / "exported")
