"""Our encoders against transformers: same weights, same states, same logits, same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.encoder_reference import FAMILIES, saved_encoder
from models.t5_reference import change_config
from potstill.errors import DamagedError, UsageError
from potstill.layers.attention import PackedAttention
from potstill.models.load_encoder import load_classifier, load_encoder
from potstill.models.registry import architecture_of

LENGTHS = [9, 2, 40, 10, 1]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def random_texts(family: str) -> list[tuple[Tensor, Tensor]]:
    """Token ids, and for BERT the ids of a second text from the middle on."""
    generator = torch.Generator().manual_seed(5)
    texts = []
    for length in LENGTHS:
        token_ids = torch.randint(4, 97, (length,), generator=generator)
        is_second = (torch.arange(length) >= length // 2) & family.startswith("bert")
        texts.append((token_ids, is_second.long()))
    return texts


def packed(texts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, PackedAttention]:
    token_ids, type_ids = (torch.cat(parts) for parts in zip(*texts, strict=True))
    return token_ids, type_ids, PackedAttention(LENGTHS, causal=False)


def reference_states(model: Any, texts: list[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.cat(
        [
            model(token_ids[None], token_type_ids=type_ids[None]).last_hidden_state[0]
            for token_ids, type_ids in texts
        ]
    )


def test_states_of_a_ragged_packed_batch_equal_transformers_on_each_text(family: str, tmp_path: Path) -> None:
    model = saved_encoder(family, "Model", tmp_path)
    texts = random_texts(family)
    with torch.inference_mode():
        expected = reference_states(model, texts)
        got = load_encoder(tmp_path, dtype=torch.float32)(*packed(texts))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_gradients_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = saved_encoder(family, "Model", tmp_path)
    encoder = load_encoder(tmp_path, dtype=torch.float32)
    texts = random_texts(family)
    reference_states(model, texts).logsumexp(-1).sum().backward()
    encoder(*packed(texts)).logsumexp(-1).sum().backward()
    gradients = dict(model.named_parameters())
    for name, parameter in encoder.named_parameters():
        expected = gradients[name].grad
        # Rows that transformers keeps at zero for padding get the gradient of their numbers here.
        scale = float(expected.abs().max())
        torch.testing.assert_close(parameter.grad, expected, atol=1e-4 * max(scale, 1), rtol=0)


def test_logits_of_labels_equal_transformers(family: str, tmp_path: Path) -> None:
    model = saved_encoder(family, "ForSequenceClassification", tmp_path)
    texts = random_texts(family)
    classifier = load_classifier(tmp_path, dtype=torch.float32)
    with torch.inference_mode():
        expected = torch.cat([model(ids[None], token_type_ids=types[None]).logits for ids, types in texts])
        got = classifier(*packed(texts))
    assert classifier.config.labels == ("contradiction", "ENTAILMENT", "neutral")
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_the_encoder_of_a_model_with_a_head_is_loaded_alone(family: str, tmp_path: Path) -> None:
    model = saved_encoder(family, "ForMaskedLM", tmp_path)
    body = getattr(model, model.base_model_prefix)
    texts = random_texts(family)
    with torch.inference_mode():
        expected = reference_states(body, texts)
        got = load_encoder(tmp_path, dtype=torch.float32)(*packed(texts))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_norms_under_their_first_names_are_read(tmp_path: Path) -> None:
    model = saved_encoder("bert", "Model", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, first in old.items():
            name = name.replace(new, first)
        renamed[f"bert.{name}"] = tensor
    save_file(renamed, tmp_path / "model.safetensors")
    encoder = load_encoder(tmp_path, dtype=torch.float32)
    assert torch.equal(encoder.embeddings.LayerNorm.weight, model.embeddings.LayerNorm.weight)


def test_a_folder_without_a_head_sorts_no_texts(tmp_path: Path) -> None:
    saved_encoder("roberta", "Model", tmp_path)
    assert architecture_of(tmp_path) == "encoder"
    with pytest.raises(UsageError, match="no head that sorts texts"):
        load_classifier(tmp_path, dtype=torch.float32)


@pytest.mark.parametrize("architecture", ["BertForTokenClassification", "BertForMultipleChoice"])
def test_a_head_for_something_else_is_not_taken_for_one_that_sorts_texts(
    architecture: str, tmp_path: Path
) -> None:
    """Its tensors have the same names and shapes."""
    saved_encoder("bert", "ForSequenceClassification", tmp_path)
    change_config(tmp_path, architectures=[architecture])
    with pytest.raises(UsageError, match=f"no head that sorts texts: it is a {architecture}"):
        load_classifier(tmp_path, dtype=torch.float32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 1 << 40),
        ("hidden_size", 30),
        ("num_attention_heads", 0),
        ("num_hidden_layers", -1),
        ("intermediate_size", "48"),
        ("vocab_size", True),
        ("max_position_embeddings", 1.5),
        ("type_vocab_size", 0),
        ("layer_norm_eps", 0.0),
        ("hidden_act", "sigmoid"),
        ("pad_token_id", 64),
        ("id2label", {"0": "a", "2": "b"}),
        ("id2label", ["a", "b"]),
        ("problem_type", "regression"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
    ],
)
def test_a_config_that_cannot_be_is_refused_with_the_name_of_its_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    saved_encoder("roberta", "Model", tmp_path)
    change_config(tmp_path, **{field: value})
    with pytest.raises(DamagedError, match=field):
        load_encoder(tmp_path, dtype=torch.float32)


def test_a_tensor_of_another_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    saved_encoder("bert", "Model", tmp_path)
    change_config(tmp_path, intermediate_size=1 << 20)
    with pytest.raises(DamagedError, match="intermediate.dense.weight has shape"):
        load_encoder(tmp_path, dtype=torch.float32)
