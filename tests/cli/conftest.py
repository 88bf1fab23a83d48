"""A clean place for each test of the commands."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.fake_distill import as_module
from potstill.cli.main import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("POTSTILL_", "HF_")):
            monkeypatch.delenv(name)
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        # Set and taken back at the end, because a command may set them.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def potstill(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command in this process, with a fake pipeline behind `distill`."""
    monkeypatch.setitem(sys.modules, "potstill.runs.stages.distill", as_module())

    def run(*arguments: str) -> Result:
        code = 0
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return Result(code, told.out, told.err)

    return run
