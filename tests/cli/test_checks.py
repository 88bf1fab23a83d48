"""What doctor advises must not harm."""

import re
from pathlib import Path

import pytest

from potstill.cli import checks

PINNED = Path(__file__).parents[2] / "constraints.txt"


def without_torch() -> checks.Check:
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def test_a_missing_torch_is_never_asked_for_without_its_exact_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    for name in ("_gpu", "_cpu", "_native"):
        monkeypatch.setattr(checks, name, without_torch)
    found = {check.name: check for check in checks.run_checks(tmp_path)}
    (pin,) = re.findall(r"^torch==\S+$", PINNED.read_text(), re.MULTILINE)
    for name in ("torch", "gpu", "cpu", "native code"):
        assert found[name].state == "missing" and f"pip install {pin} " in found[name].fix
    for check in found.values():
        # Any other command that would let pip choose a torch.
        assert "install torch " not in check.fix and not check.fix.endswith("pip install potstill")


def test_a_file_where_the_runs_should_go_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = {check.name: check for check in checks.run_checks(tmp_path / "file" / "runs")}
    assert found["disk"].state == "missing" and "POTSTILL_PATHS_RUNS" in found["disk"].fix
