"""Our T5 against transformers: same weights, same logits, same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.t5_reference import FAMILIES, change_config, saved_t5
from potstill.errors import DamagedError
from potstill.layers.attention import PackedAttention
from potstill.layers.cross_attention import PackedCrossAttention
from potstill.models.load_t5 import load_t5
from potstill.models.registry import architecture_of
from potstill.models.t5 import T5

PROMPT_LENGTHS, OUTPUT_LENGTHS = [9, 2, 40, 10, 1], [3, 12, 45, 1, 10]


@pytest.fixture(params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, T5]:
    model = saved_t5(request.param, tmp_path)
    return model, load_t5(tmp_path, dtype=torch.float32)


def random_sequences(lengths: list[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 97, (length,), generator=generator) for length in lengths]


def packed_logits(t5: T5, prompts: list[Tensor], outputs: list[Tensor]) -> Tensor:
    prompt_lengths, output_lengths = list(map(len, prompts)), list(map(len, outputs))
    encoded = t5.encode(torch.cat(prompts), PackedAttention(prompt_lengths, causal=False))
    seen = PackedCrossAttention(output_lengths, prompt_lengths, t5.keys_values(encoded))
    return t5.logits(t5(torch.cat(outputs), PackedAttention(output_lengths), seen))


def reference_logits(model: Any, prompts: list[Tensor], outputs: list[Tensor]) -> Tensor:
    pairs = zip(prompts, outputs, strict=True)
    return torch.cat(
        [model(input_ids=prompt[None], decoder_input_ids=output[None]).logits[0] for prompt, output in pairs]
    )


def test_logits_of_a_ragged_packed_batch_equal_transformers_on_each_pair(both: tuple[Any, T5]) -> None:
    model, t5 = both
    prompts, outputs = random_sequences(PROMPT_LENGTHS, 5), random_sequences(OUTPUT_LENGTHS, 6)
    with torch.inference_mode():
        expected = reference_logits(model, prompts, outputs)
        got = packed_logits(t5, prompts, outputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_gradients_equal_those_of_transformers_the_table_of_distances_included(both: tuple[Any, T5]) -> None:
    model, t5 = both
    prompts, outputs = random_sequences(PROMPT_LENGTHS, 5), random_sequences(OUTPUT_LENGTHS, 6)
    reference_logits(model, prompts, outputs).logsumexp(-1).sum().backward()
    packed_logits(t5, prompts, outputs).logsumexp(-1).sum().backward()
    gradients = dict(model.named_parameters())
    assert sum("relative_attention_bias" in name for name in gradients) == 2
    for name, parameter in t5.named_parameters():
        expected = gradients[name].grad
        scale = float(expected.abs().max())
        torch.testing.assert_close(parameter.grad, expected, atol=2e-4 * max(scale, 1), rtol=0)


def test_a_pair_does_not_hang_on_the_batch(both: tuple[Any, T5]) -> None:
    prompts, outputs = random_sequences(PROMPT_LENGTHS, 5), random_sequences(OUTPUT_LENGTHS, 6)
    with torch.inference_mode():
        alone = [packed_logits(both[1], [p], [o]) for p, o in zip(prompts, outputs, strict=True)]
        together = packed_logits(both[1], prompts, outputs)
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=0)


def test_bfloat16_stays_near_float32(both: tuple[Any, T5], tmp_path: Path) -> None:
    prompts, outputs = random_sequences(PROMPT_LENGTHS, 5), random_sequences(OUTPUT_LENGTHS, 6)
    with torch.inference_mode():
        exact = packed_logits(both[1], prompts, outputs)
        rounded = packed_logits(load_t5(tmp_path, dtype=torch.bfloat16), prompts, outputs)
    assert (rounded.float() - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize("name", ["t5", "flan-t5"])
def test_float16_stays_finite_and_near_where_inner_states_overflow_it(name: str, tmp_path: Path) -> None:
    saved_t5(name, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    for key, tensor in tensors.items():
        if ".wi" in key:
            tensor *= 1000
        if ".wo" in key:
            tensor *= 3
    save_file(tensors, tmp_path / "model.safetensors")
    prompts, outputs = random_sequences(PROMPT_LENGTHS, 5), random_sequences(OUTPUT_LENGTHS, 6)
    with torch.inference_mode():
        exact = packed_logits(load_t5(tmp_path, dtype=torch.float32), prompts, outputs)
        halved = load_t5(tmp_path, dtype=torch.float16)
        inner = halved.decoder.block[0].layer[2].DenseReluDense
        states = []
        inner.wo.register_forward_pre_hook(lambda module, args: states.append(args[0]))
        rounded = packed_logits(halved, prompts, outputs)
    if name == "flan-t5":
        assert states[0].abs().max() > torch.finfo(torch.float16).max
    assert rounded.dtype == torch.float16 and rounded.isfinite().all()
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_head_that_repeats_the_embedding_is_tied_whatever_the_config_says(tmp_path: Path) -> None:
    saved_t5("t5", tmp_path)
    change_config(tmp_path, tie_word_embeddings=False, scale_decoder_outputs=None)
    t5 = load_t5(tmp_path, dtype=torch.float32)
    assert t5.config.is_tied and not t5.config.scales_outputs


def test_the_embedding_may_stand_under_any_of_its_names(tmp_path: Path) -> None:
    model = saved_t5("flan-t5", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["shared.weight"], tensors["encoder.embed_tokens.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(load_t5(tmp_path, dtype=torch.float32).shared.weight, model.shared.weight)


def test_the_registry_knows_the_family(tmp_path: Path) -> None:
    saved_t5("mt5", tmp_path)
    assert architecture_of(tmp_path) == "encoder_decoder"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("d_model", 1 << 40),
        ("d_kv", 0),
        ("num_layers", -1),
        ("num_decoder_layers", 2000),
        ("num_heads", 1.5),
        ("vocab_size", True),
        ("d_ff", "48"),
        ("relative_attention_num_buckets", 7),
        ("relative_attention_max_distance", 4),
        ("relative_attention_max_distance", 1 << 20),
        ("layer_norm_epsilon", 0.0),
        ("feed_forward_proj", "gated-sigmoid"),
        ("decoder_start_token_id", 97),
        ("eos_token_id", -1),
        ("quantization_config", {"bits": 4}),
    ],
)
def test_a_config_that_cannot_be_is_refused_with_the_name_of_its_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    saved_t5("flan-t5", tmp_path)
    change_config(tmp_path, **{field: value})
    with pytest.raises(
        DamagedError, match=field if "token_id" not in field else "special token|eos_token_id"
    ):
        load_t5(tmp_path, dtype=torch.float32)


def test_a_tensor_of_another_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    saved_t5("flan-t5", tmp_path)
    change_config(tmp_path, d_ff=1 << 20)
    with pytest.raises(DamagedError, match="wi_0.weight has shape"):
        load_t5(tmp_path, dtype=torch.float32)
