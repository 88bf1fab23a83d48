from pathlib import Path

import pytest

from models.encoder_reference import saved_encoder
from models.t5_reference import change_config, saved_t5
from potstill.errors import DamagedError
from potstill.models.any_config import read_any_config
from potstill.models.encoder_config import EncoderConfig
from potstill.models.t5_config import T5Config


def test_the_config_tells_the_kind_of_model(tmp_path: Path) -> None:
    saved_t5("mt5", tmp_path / "mt5")
    saved_encoder("roberta", "Model", tmp_path / "roberta")
    t5, encoder = (read_any_config(tmp_path / name) for name in ("mt5", "roberta"))
    assert isinstance(t5, T5Config) and t5.model_type == "mt5" and not t5.is_tied
    assert isinstance(encoder, EncoderConfig) and encoder.max_positions == 62


def test_a_family_that_is_not_run_is_named(tmp_path: Path) -> None:
    saved_t5("t5", tmp_path)
    change_config(tmp_path, model_type="bart")
    with pytest.raises(DamagedError, match=r"model_type is 'bart'; this version runs .*t5, mt5, bert"):
        read_any_config(tmp_path)
