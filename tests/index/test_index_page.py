"""docs/index.md: its Python runs on the texts that it shows."""

import re
from pathlib import Path

import pytest

from corpus.vocabularies import vocabulary
from potstill.index.build import BuildSettings, build_index
from source_tree import ROOT

PAGE = (ROOT / "docs" / "index.md").read_text("utf-8")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """The files that the page shows."""
    shown = re.search(r"\$ head -100 texts/\*\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    files = re.split(r"==> texts/(\S+) <==\n", shown[1])[1:]
    for name, text in zip(files[::2], files[1::2], strict=True):
        path = tmp_path / "texts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.strip("\n") + "\n", "utf-8")
    return tmp_path / "texts"


def test_the_pages_python_runs(texts, monkeypatch, capsys):
    build_index([texts], texts.parent / "library", vocabulary("bytes"), BuildSettings(1 << 26))
    monkeypatch.chdir(texts.parent)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/index.md", "exec"), {})
    assert "louder" in capsys.readouterr().out
