"""The config of a folder in Hugging Face layout, whichever kind of model it holds."""

from pathlib import Path

from potstill.models.config import DecoderConfig
from potstill.models.encoder_config import EncoderConfig
from potstill.models.load import read_config
from potstill.models.load_encoder import read_encoder_config
from potstill.models.load_t5 import read_t5_config
from potstill.models.registry import architecture_of
from potstill.models.t5_config import T5Config


def read_any_config(folder: Path) -> DecoderConfig | T5Config | EncoderConfig:
    """DamagedError for a family that is not run here, or a field that cannot be right."""
    architecture = architecture_of(folder)
    if architecture == "encoder_decoder":
        return read_t5_config(folder)
    if architecture == "encoder":
        return read_encoder_config(folder)
    return read_config(folder)
