"""What families differ in: names, biases of the head, fused projections, layers taken apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.layers.attention import PackedAttention
from potstill.layers.losses import chunked_cross_entropy
from potstill.layers.mlp import ACTIVATIONS
from potstill.layers.rope import Rope, rotate
from potstill.lm.decoder import NeuralDecoder
from potstill.models.adapters import LoraConfig, adapted_layers, add_lora
from potstill.models.decoder import Decoder
from potstill.models.load import load_decoder
from potstill.models.native_decoder import NativeRunner
from potstill.models.parts import Projection
from potstill.models.registry import architecture_of
from potstill.models.runner import DecoderRunner, TorchRunner
from potstill.types import SamplingParams

SavedReference = Callable[[str], tuple[Any, Path]]
TOKEN_IDS = torch.arange(3, 23)
ONE_OF_EACH = [
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "gpt_neox in a row",
    "gptj",
    "llama",
    "mistral",
    "opt",
    "qwen2",
    "qwen3",
]


def logits(decoder: Decoder) -> Tensor:
    with torch.inference_mode():
        return decoder.logits(decoder(TOKEN_IDS, PackedAttention([len(TOKEN_IDS)])))


def natively(decoder: Decoder) -> NativeRunner:
    return NativeRunner.of(decoder, "fp32")


@pytest.mark.parametrize("run_by", [TorchRunner, natively])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_64_greedy_tokens_of_a_ragged_batch_are_those_of_transformers(
    saved_reference: SavedReference, name: str, run_by: Callable[[Decoder], DecoderRunner]
) -> None:
    model, folder = saved_reference(name)
    runner = run_by(load_decoder(folder, dtype=torch.float32))
    engine = Engine(
        NeuralDecoder(runner, bos_id=None, kv_bytes=4 << 20, block_size=4), EngineParams(max_batch=3)
    )
    generator = torch.Generator().manual_seed(6)
    prompts = [torch.randint(3, 97, (length,), generator=generator) for length in (1, 11, 4)]
    num_new = [64 - len(prompt) for prompt in prompts]
    sequences = [
        engine.add(prompt.tolist(), SamplingParams(max_tokens=n, temperature=0.0))
        for prompt, n in zip(prompts, num_new, strict=True)
    ]
    while engine.has_work:
        engine.step()
    for prompt, n, sequence in zip(prompts, num_new, sequences, strict=True):
        expected = model.generate(
            prompt[None], max_new_tokens=n, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        assert list(sequence.output_ids) == expected[0, len(prompt) :].tolist()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_folder_is_known_as_a_decoder(saved_reference: SavedReference, name: str) -> None:
    assert architecture_of(saved_reference(name)[1]) == "decoder"


def normal(norm: Any, x: Tensor) -> Tensor:
    normalised: Tensor = x if norm is None else norm(x)
    return normalised


def projected(projection: Projection, x: Tensor) -> Tensor:
    return F.linear(x, projection.weight, projection.bias)


def by_parts(decoder: Decoder, token_ids: Tensor) -> Tensor:
    """What a decoder computes, written over its parts without a word of its modules' names."""
    config, body = decoder.config, decoder.body
    N, D = len(token_ids), config.head_dim
    attention = PackedAttention([N])
    x = body.embedding.weight[token_ids] * config.embedding_scale
    if body.positions is not None:
        x = x + body.positions.weight[torch.arange(N) + body.positions.offset]
    for layer in range(config.num_layers):
        parts, window = body.parts(layer), config.windows[layer]
        seen = parts.attention_norm(x)
        q, k, v = (projected(part, seen).view(N, -1, D) for part in (parts.q, parts.k, parts.v))
        q, k = normal(parts.q_norm, q), normal(parts.k_norm, k)
        if config.rotary_dim:
            rope = Rope(config.rope if window is None else config.rope_local, config.rotary_dim)
            rotation = rope.rotation(attention.positions, x.dtype)
            q, k = rotate(q, rotation), rotate(k, rotation)
        attended = attention.attend(
            layer, q, k, v, scale=config.query_scale, window=window, softcap=config.attention_softcap
        )
        attended = normal(parts.after_attention, projected(parts.o, attended.reshape(N, -1)))
        before, x = x, x + attended
        read = before if config.parallel_residual else x
        read = seen if parts.mlp_norm is None else parts.mlp_norm(read)
        act = ACTIVATIONS[config.activation]
        inner = projected(parts.up, read)
        inner = act(inner) if parts.gate is None else act(projected(parts.gate, read)) * inner
        x = x + normal(parts.after_mlp, projected(parts.down, inner))
    return body.final_norm(x)


def test_the_parts_of_a_decoder_compute_what_it_computes(
    saved_reference: SavedReference, family: str
) -> None:
    decoder = load_decoder(saved_reference(family)[1], dtype=torch.float32)
    with torch.inference_mode():
        expected = decoder(TOKEN_IDS, PackedAttention([len(TOKEN_IDS)]))
        torch.testing.assert_close(by_parts(decoder, TOKEN_IDS), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama"])
def test_the_parts_of_an_adapted_decoder_have_its_adapter(saved_reference: SavedReference, name: str) -> None:
    decoder = load_decoder(saved_reference(name)[1], dtype=torch.float32)
    add_lora(decoder, LoraConfig(rank=2), seed=1)
    for layer in adapted_layers(decoder).values():
        torch.nn.init.normal_(layer.lora_B, std=0.2)
    with torch.inference_mode():
        expected = decoder(TOKEN_IDS, PackedAttention([len(TOKEN_IDS)]))
        torch.testing.assert_close(by_parts(decoder, TOKEN_IDS), expected, atol=1e-4, rtol=0)


def rename(folder: Path, change: Callable[[str], str], **more: Tensor) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): tensor for name, tensor in tensors.items()} | more, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "body"), [("gpt2", "transformer."), ("opt", "model."), ("llama llama3", "model.")]
)
def test_a_checkpoint_of_the_bare_body_loads(saved_reference: SavedReference, name: str, body: str) -> None:
    _, folder = saved_reference(name)
    expected = logits(load_decoder(folder, dtype=torch.float32))
    rename(folder, lambda stored: stored.removeprefix(body))
    assert torch.equal(logits(load_decoder(folder, dtype=torch.float32)), expected)


def test_the_masks_of_old_checkpoints_are_passed_over(saved_reference: SavedReference) -> None:
    _, folder = saved_reference("gpt2")
    expected = logits(load_decoder(folder, dtype=torch.float32))
    masks = {
        f"h.{layer}.attn.{name}": torch.ones(1) for layer in range(3) for name in ("bias", "masked_bias")
    }
    rename(folder, lambda stored: stored.removeprefix("transformer."), **masks)
    assert torch.equal(logits(load_decoder(folder, dtype=torch.float32)), expected)


@pytest.mark.parametrize("head", ["embed_out.weight", "lm_head.weight"])
def test_the_head_of_neox_has_either_name(saved_reference: SavedReference, head: str) -> None:
    _, folder = saved_reference("gpt_neox")
    expected = logits(load_decoder(folder, dtype=torch.float32))
    rename(folder, lambda stored: head if stored in ("embed_out.weight", "lm_head.weight") else stored)
    assert torch.equal(logits(load_decoder(folder, dtype=torch.float32)), expected)


def test_the_loss_of_a_head_with_a_bias_has_its_gradient(saved_reference: SavedReference) -> None:
    decoder = load_decoder(saved_reference("gptj")[1], dtype=torch.float32)
    hidden = decoder(TOKEN_IDS, PackedAttention([len(TOKEN_IDS)])).detach()
    labels = TOKEN_IDS.flip(0)
    plain = F.cross_entropy(decoder.logits(hidden), labels, reduction="sum")
    expected = torch.autograd.grad(plain, decoder.lm_head.bias)[0]
    loss = chunked_cross_entropy(
        hidden, decoder.head_weight, labels, head_bias=decoder.head_bias, chunk_rows=7
    )
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(
        torch.autograd.grad(loss, decoder.lm_head.bias)[0], expected, atol=1e-5, rtol=0
    )
