"""From a model's files to a generator."""

from pathlib import Path

from potstill.devices import default_device
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.lm.load import load_lm
from potstill.types import DtypeName


def load_generator(
    path: Path,
    *,
    dtype: DtypeName = "auto",
    device: str | None = None,
    params: EngineParams | None = None,
) -> EngineGenerator:
    """The model in a folder in Hugging Face layout or in a GGUF file; `device` None is the best one here."""
    params = params or EngineParams()
    model, tokenizer = load_lm(path, dtype=dtype, device=default_device(device), params=params)
    return EngineGenerator(Engine(model, params, tokenizer.eos_ids), tokenizer)
