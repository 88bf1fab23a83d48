"""A model from its file, and from what a start before it has kept."""

from pathlib import Path

import numpy as np
import pytest

from potstill.engine.params import EngineParams
from potstill.errors import ModelMissing
from potstill.hub.resolve import resolve
from potstill.lm.context import Context
from potstill.lm.load import load_lm
from potstill.progress import Silent


@pytest.mark.weights
def test_the_embedded_model_starts_from_kept_weights_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        gemma = resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))

    def logprobs() -> np.ndarray:
        params = EngineParams(kv_bytes=16 << 20)
        model, tokenizer = load_lm(gemma, dtype="int8", params=params, compile_cache=tmp_path)
        return model.next_logprobs([Context(tuple(tokenizer.encode("The capital of France is")))])

    packed = logprobs()
    assert [file.stat().st_size >> 20 for file in tmp_path.glob("*.packed")] == [263]
    monkeypatch.setattr("potstill.lm.load.load_decoder", None)
    np.testing.assert_array_equal(logprobs(), packed)
