"""LoRA on a decoder, and its files to and from PEFT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from potstill.errors import ConfigError, DamagedError, ModelMissing
from potstill.files import read_json, write_json
from potstill.layers.attention import PackedAttention
from potstill.models.adapters import (
    LoraConfig,
    adapted_layers,
    add_lora,
    load_adapter,
    merge_lora,
    remove_lora,
    save_adapter,
)
from potstill.models.decoder import Decoder
from potstill.models.load import load_decoder

SavedReference = Callable[[str], tuple[Any, Path]]
TOKEN_IDS = torch.arange(3, 23)
# peft 0.21 asks transformers by the older name.
FROM_PEFT = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
PEFT_REASON = "peft is in the dependency group `oracles`"


def logits(decoder: Decoder) -> Tensor:
    with torch.inference_mode():
        return decoder.logits(decoder(TOKEN_IDS, PackedAttention([len(TOKEN_IDS)])))


def adapt(decoder: Decoder, config: LoraConfig | None = None) -> None:
    """Add an adapter that does something, as after training."""
    add_lora(decoder, config or LoraConfig(rank=3, alpha=5.0), seed=7)
    torch.manual_seed(8)
    for layer in adapted_layers(decoder).values():
        torch.nn.init.normal_(layer.lora_B, std=0.2)


@pytest.fixture
def decoder(saved_reference: SavedReference) -> Decoder:
    return load_decoder(saved_reference("gemma3")[1], dtype=torch.float32)


def test_a_new_adapter_changes_nothing_and_is_all_that_trains(decoder: Decoder) -> None:
    before = logits(decoder)
    add_lora(decoder, LoraConfig(rank=2, target_modules=("q_proj", "down_proj")), seed=1)
    assert torch.equal(logits(decoder), before)
    trained = {name for name, parameter in decoder.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 2 * 3
    assert all("lora_" in name for name in trained)


def test_the_seed_decides_where_an_adapter_starts(saved_reference: SavedReference) -> None:
    folder = saved_reference("llama")[1]
    starts = []
    for seed in (1, 1, 2):
        decoder = load_decoder(folder, dtype=torch.float32)
        add_lora(decoder, LoraConfig(rank=2), seed)
        starts.append(decoder.get_parameter("model.layers.1.mlp.up_proj.lora_A"))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_merged_equals_unmerged(decoder: Decoder) -> None:
    names = [name for name, _ in decoder.named_parameters()]
    before = logits(decoder)
    adapt(decoder)
    expected = logits(decoder)
    assert (expected - before).abs().max() > 0.01
    merge_lora(decoder)
    torch.testing.assert_close(logits(decoder), expected, atol=1e-4, rtol=0)
    assert [name for name, _ in decoder.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in decoder.parameters())


def test_removed_is_as_before(decoder: Decoder) -> None:
    before = logits(decoder)
    adapt(decoder)
    remove_lora(decoder)
    assert torch.equal(logits(decoder), before)
    assert not adapted_layers(decoder)


@FROM_PEFT
@pytest.mark.parametrize("name", ["gemma3", "llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "gptj", "opt"])
def test_our_adapter_loads_in_peft_with_equal_logits(
    saved_reference: SavedReference, name: str, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason=PEFT_REASON)
    model, folder = saved_reference(name)
    decoder = load_decoder(folder, dtype=torch.float32)
    adapt(decoder)
    save_adapter(decoder, tmp_path / "adapter", "the/base")
    theirs = peft.PeftModel.from_pretrained(model, tmp_path / "adapter")
    with torch.inference_mode():
        torch.testing.assert_close(theirs(TOKEN_IDS[None]).logits[0], logits(decoder), atol=1e-4, rtol=0)


@FROM_PEFT
@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("llama", ["q_proj", "v_proj"]),
        ("llama", "all-linear"),
        ("llama", r".*\.1\..*(k|up)_proj"),
        ("gpt2", ["c_attn", "c_proj"]),
        ("gpt_neox", "all-linear"),
    ],
)
def test_an_adapter_of_peft_loads_here_with_equal_logits(
    saved_reference: SavedReference, name: str, targets: list[str] | str, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason=PEFT_REASON)
    model, folder = saved_reference(name)
    decoder = load_decoder(folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=9,
        lora_dropout=0.1,
        target_modules=targets,
        task_type="CAUSAL_LM",
        fan_in_fan_out=name == "gpt2",
    )
    theirs = peft.get_peft_model(model, config).eval()
    torch.manual_seed(3)
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    theirs.save_pretrained(tmp_path / "adapter")
    load_adapter(decoder, tmp_path / "adapter")
    with torch.inference_mode():
        expected = theirs(TOKEN_IDS[None]).logits[0]
    torch.testing.assert_close(logits(decoder), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("targets", [("q_proj", "up_proj"), ("model.layers.1.self_attn.q_proj", "o_proj")])
def test_an_adapter_loads_as_it_was_saved(
    saved_reference: SavedReference, targets: tuple[str, ...], tmp_path: Path
) -> None:
    folder = saved_reference("qwen3")[1]
    first, second = (load_decoder(folder, dtype=torch.float32) for _ in range(2))
    adapt(first, LoraConfig(rank=2, alpha=3.5, dropout=0.25, target_modules=targets))
    save_adapter(first, tmp_path / "adapter", "the/base")
    load_adapter(second, tmp_path / "adapter")
    assert torch.equal(logits(second), logits(first))
    assert not second.head_weight.requires_grad
    save_adapter(second, tmp_path / "again", "the/base")
    for file in sorted((tmp_path / "adapter").iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 10**6}, "rank is 1000000"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"dropout": 1.0}, "dropout is 1"),
        ({"target_modules": ()}, "target_modules is"),
    ],
)
def test_settings_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LoraConfig(**values)


def test_targets_that_are_no_projections_are_named(decoder: Decoder) -> None:
    with pytest.raises(ConfigError, match="'embed_tokens', which is no projection"):
        add_lora(decoder, LoraConfig(target_modules=("q_proj", "embed_tokens")), seed=1)


def test_a_second_adapter_is_refused(decoder: Decoder) -> None:
    adapt(decoder)
    with pytest.raises(ConfigError, match="merge or remove it first"):
        adapt(decoder)


@pytest.fixture
def adapter(decoder: Decoder, tmp_path: Path) -> Path:
    adapt(decoder)
    save_adapter(decoder, tmp_path / "adapter", "the/base")
    remove_lora(decoder)
    return tmp_path / "adapter"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"use_dora": True}, "use_dora is True, which this version cannot run"),
        ({"use_rslora": True}, "use_rslora is True"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern is"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
        ({"of_a_later_version": 1}, "of_a_later_version is 1"),
        ({"r": 0}, "rank is 0"),
        ({"r": 10**9}, "rank is 10+"),
        ({"r": "8"}, "r is '8'"),
        ({"r": 4}, r"has shape \[3, "),
        ({"lora_alpha": None}, "lora_alpha is missing"),
    ],
)
def test_a_config_that_cannot_be_run_is_named(
    decoder: Decoder, adapter: Path, changes: dict[str, Any], message: str
) -> None:
    write_json(adapter / "adapter_config.json", read_json(adapter / "adapter_config.json") | changes)
    with pytest.raises(DamagedError, match=message):
        load_adapter(decoder, adapter)
    assert not adapted_layers(decoder)


def first_name(tensors: dict[str, Tensor], part: str) -> str:
    return next(name for name in sorted(tensors) if part in name)


def drop_one(tensors: dict[str, Tensor]) -> None:
    del tensors[first_name(tensors, "lora_B")]


def add_stranger(tensors: dict[str, Tensor]) -> None:
    tensors["base_model.model.model.embed_tokens.lora_A.weight"] = torch.ones(3, 4)


def turn_one(tensors: dict[str, Tensor]) -> None:
    name = first_name(tensors, "lora_A")
    tensors[name] = tensors[name].T.contiguous()


def make_one_whole(tensors: dict[str, Tensor]) -> None:
    name = first_name(tensors, "lora_A")
    tensors[name] = tensors[name].to(torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_one, "lacks base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"),
        (add_stranger, "which belongs to no projection"),
        (turn_one, "has shape"),
        (make_one_whole, "type I64"),
        (dict.clear, "lacks any tensor"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    decoder: Decoder, adapter: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, adapter / "adapter_model.safetensors")
    with pytest.raises(DamagedError, match=message):
        load_adapter(decoder, adapter)
    assert not adapted_layers(decoder)


def test_a_file_cut_short_is_refused(decoder: Decoder, adapter: Path) -> None:
    content = (adapter / "adapter_model.safetensors").read_bytes()
    (adapter / "adapter_model.safetensors").write_bytes(content[:-7])
    with pytest.raises(DamagedError, match="is not a whole safetensors file"):
        load_adapter(decoder, adapter)


def test_pickled_weights_are_not_read(decoder: Decoder, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelMissing, match="are not read"):
        load_adapter(decoder, adapter)


def test_a_folder_without_a_config_is_no_adapter(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="is no adapter"):
        load_adapter(decoder, tmp_path)
