import json
from pathlib import Path

import pytest
import torch

from cli.conftest import Command
from engine.tiny_decoder import tiny_decoder
from potstill.engine import bench
from potstill.files import write_json
from potstill.lm.decoder import NeuralDecoder
from potstill.peaks import MachinePeaks

CONFIG = {
    "model_type": "llama",
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder `m` in place of a model, peaks in place of measuring them; returns the types asked for."""
    write_json(Path("m/config.json"), CONFIG)
    Path("m/model.safetensors").touch()
    asked: list[str] = []

    def load(path: Path, *, dtype: str, params: object) -> tuple[NeuralDecoder, None]:
        asked.append(dtype)
        return NeuralDecoder(tiny_decoder(), bos_id=None, kv_bytes=1 << 20), None

    def peaks(threads: int | None, **_: object) -> MachinePeaks:
        return MachinePeaks(threads or 2, 27e9, {"fp32": 2e11, "bf16": 1.9e12, "int8": 3e12})

    # Other tests keep their threads.
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr("potstill.lm.load.load_lm", load)
    monkeypatch.setattr("potstill.peaks.measure_peaks", peaks)
    monkeypatch.setattr(bench, "BUDGET_S", 0.01)
    return asked


def test_a_model_is_shown_with_its_speed(potstill: Command, machine: list[str]) -> None:
    done = potstill("model", "show", "m", "--bench", "--dtype", "int8", "--threads", "1", "--quiet")
    assert done.code == 0, done.err
    for line in ("reads, 1 thread ", "27.0 GB/s", "weights read a step, int8", "writing 8 texts"):
        assert line in done.out
    assert machine == ["int8"] and not done.err


def test_the_same_figures_as_json(potstill: Command, machine: list[str]) -> None:
    told = json.loads(potstill("model", "show", "m", "--bench", "--dtype", "fp32", "--json").out)
    assert told["schema"] == "potstill.model-show/1"
    measured = told["bench"]
    assert measured["dtype"] == "fp32" and measured["peaks"]["read_bytes_per_s"] == 27e9
    assert [rate["num_streams"] for rate in measured["decode"]] == [1, 8]
    assert measured["prefill"]["flops_share"] > 0
    assert json.loads(potstill("model", "show", "m", "--json").out)["bench"] is None


def test_a_long_measurement_is_told_beforehand(
    potstill: Command, machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "estimate_s", lambda num_bytes: 200.0)
    done = potstill("model", "show", "m", "--bench", "--dtype", "bf16", "--quiet")
    assert done.code == 0 and "may take 3 min 20 s" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dtype", "int8"), "--dtype has an effect with --bench only"),
        (("--threads", "1"), "--threads has an effect with --bench only"),
        (("--bench", "--dtype", "int4"), "--dtype is 'int4'; it must be one of auto, bf16, fp32, int8."),
        (("--bench", "--threads", "0"), "--threads"),
    ],
)
def test_wrong_options_are_refused(
    potstill: Command, machine: list[str], options: tuple[str, ...], told: str
) -> None:
    done = potstill("model", "show", "m", *options)
    assert done.code == 2 and told in done.err
