"""Settings: what cannot be, and what could not take effect, is refused with the name of the field."""

import pytest

from potstill.errors import ConfigError
from potstill.settings import descriptions, from_table, settings_fields, to_table
from potstill.training.settings import TrainingSettings


def test_every_field_is_documented():
    assert set(descriptions(TrainingSettings)) == {field.name for field in settings_fields(TrainingSettings)}


def test_settings_survive_a_table():
    settings = TrainingSettings(method="lora", lora_rank=8, lora_targets=("q_proj",), max_steps=5)
    assert from_table(TrainingSettings, to_table_without_none(settings), "training") == settings


def to_table_without_none(settings):
    return {key: value for key, value in to_table(settings).items() if value is not None}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "prompt"},
        {"optimizer": "sgd"},
        {"schedule": "step"},
        {"dtype": "fp16"},
        {"keep": "first"},
        {"method": "lora", "lora_rank": 0},
        {"method": "lora", "lora_alpha": 0.0},
        {"method": "lora", "lora_dropout": 1.0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -0.1},
        {"warmup_share": 1.0},
        {"batch_tokens": 0},
        {"accumulation": 0},
        {"epochs": 0},
        {"max_steps": 0},
        {"clip": 0.0},
        {"seed": -1},
        {"checkpoint_every": 0},
        {"evaluate_every": 0},
        {"validation_share": 0.6},
    ],
    ids=str,
)
def test_a_value_out_of_range_names_its_field(change):
    with pytest.raises(ConfigError, match=list(change)[-1]):
        TrainingSettings(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_rank": 8}, "lora_rank has no effect"),
        ({"lora_alpha": 8.0}, "lora_alpha has no effect"),
        ({"lora_dropout": 0.1}, "lora_dropout has no effect"),
        ({"lora_targets": ("q_proj",)}, "lora_targets has no effect"),
        ({"method": "lora", "freeze_embeddings": True}, "freeze_embeddings has no effect"),
        ({"method": "lora", "lora_targets": ()}, "lora_targets is empty"),
        ({"epochs": 1, "max_steps": 1}, "epochs and max_steps"),
        ({"keep": "best", "evaluate_every": 5}, "validation_share"),
        ({"keep": "best", "validation_share": 0.1}, "evaluate_every"),
    ],
    ids=str,
)
def test_a_setting_without_effect_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**change)
