"""Options of `generate` with values that no sane command gives: refused by name, before any work, with 2."""

from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.files import write_json

WHOLE = ("max-tokens", "top-k", "seed", "num-samples", "num-beams", "threads")
REAL = ("temperature", "top-p")
TOO_LARGE = str(2**63)
ABSURD = [
    *((option, value) for option in WHOLE for value in ("-1", "nan", "1.5", TOO_LARGE)),
    *((option, value) for option in REAL for value in ("-1", "nan", "inf", "", TOO_LARGE)),
    *((option, "0") for option in ("max-tokens", "num-samples", "num-beams", "threads", "top-p")),
    ("num-samples", "1025"),
    ("num-beams", "257"),
    ("dtype", "int3"),
    ("dtype", ""),
    ("device", "abacus"),
    ("stop", ""),
]


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that may not be loaded: what is absurd is told before."""
    path = Path("m")
    write_json(path / "config.json", {})
    (path / "model.safetensors").touch()

    def load(*_: object, **__: object) -> object:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("potstill.engine.load.load_lm", load)


@pytest.mark.parametrize(("option", "value"), ABSURD, ids=lambda value: value or "nothing")
def test_an_absurd_value_is_refused_by_the_options_name(
    potstill: Command, unloadable: None, option: str, value: str
) -> None:
    done = potstill("generate", "m", "one", f"--{option}={value}", "--quiet")
    assert done.code == 2, done.err
    assert option in done.err.replace("_", "-"), done.err
    assert len(done.err.strip().splitlines()) < 12 and "Traceback" not in done.err


def test_an_absurd_value_is_refused_before_a_model_is_looked_for(potstill: Command) -> None:
    done = potstill("generate", "nobody/nothing", "one", "--temperature", "-1")
    assert done.code == 2 and "temperature is -1" in done.err


def test_more_texts_than_beams_are_refused(potstill: Command, unloadable: None) -> None:
    done = potstill("generate", "m", "one", "--num-beams", "2", "--num-samples", "3")
    assert done.code == 2 and "3" in done.err


@pytest.mark.parametrize("option", ["temperature", "top-p", "top-k", "seed"])
def test_a_search_takes_no_option_about_drawing(potstill: Command, unloadable: None, option: str) -> None:
    done = potstill("generate", "m", "one", "--num-beams", "4", f"--{option}", "1")
    assert done.code == 2 and f"--{option} is about drawing" in done.err
