"""What a training leaves alone, whatever a family calls it."""

from typing import Any

import pytest

from potstill.models.adapters import projection_paths
from potstill.models.decoder import Decoder
from potstill.models.hf_config import config_from_json
from potstill.training.settings import TrainingSettings
from potstill.training.trainable import make_trainable

HIDDEN = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
N = {"n_embd": 16, "n_layer": 1, "n_head": 2}
TABLES: list[dict[str, Any]] = [
    {"model_type": "gpt2", **N},
    {"model_type": "gptj", "rotary_dim": 4, **N},
    {"model_type": "gpt_neox", **HIDDEN},
    {"model_type": "opt", "ffn_dim": 8, **HIDDEN},
    {"model_type": "mistral", **HIDDEN},
    {"model_type": "gemma2", "head_dim": 8, **HIDDEN},
]


@pytest.fixture(params=TABLES, ids=lambda table: str(table["model_type"]))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return Decoder(config_from_json(request.param | {"vocab_size": 20}, "config.json"))


def trained_names(decoder: Decoder) -> set[str]:
    return {name for name, parameter in decoder.named_parameters() if parameter.requires_grad}


def test_lora_stands_beside_every_projection_and_leaves_the_rest_alone(decoder: Decoder) -> None:
    make_trainable(decoder, TrainingSettings(method="lora"))
    assert len(trained_names(decoder)) == 2 * len(projection_paths(decoder)) > 0
    assert all("lora_" in name for name in trained_names(decoder))


def test_a_frozen_embedding_is_frozen_with_its_head(decoder: Decoder) -> None:
    every = {name for name, _ in decoder.named_parameters()}
    make_trainable(decoder, TrainingSettings(method="full", freeze_embeddings=True))
    frozen = {id(decoder.body.embedding.weight), id(decoder.head_weight), id(decoder.head_bias)}
    left = {name for name, parameter in decoder.named_parameters() if id(parameter) in frozen}
    assert trained_names(decoder) == every - left
    make_trainable(decoder, TrainingSettings(method="full", freeze_embeddings=False))
    assert trained_names(decoder) == every
