"""Embedded models: joined once, checked always, and replaced when half-written."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from potstill.errors import DamagedError, DiskFull, ModelMissing
from potstill.files import sha256_of
from potstill.hub.embedded import GEMMA_3_270M, EmbeddedModel, assemble
from potstill.progress import Silent

PIECES = [b"GGUF and then ", b"some weights, ", b"and the last ones"]
CONTENT = b"".join(PIECES)


@pytest.fixture
def model(tmp_path, monkeypatch) -> EmbeddedModel:
    """Three installed packages with a piece each."""
    names = []
    for number, piece in enumerate(PIECES):
        package = f"tiny_model_{os.path.basename(tmp_path).replace('-', '_')}_{number}"
        data = tmp_path / "site" / package / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise AssertionError('its code is not run')")
        (data / "tiny.part").write_bytes(piece)
        names.append((package, "tiny.part"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    return EmbeddedModel(
        name="tiny",
        requirement="tiny-model==1",
        hub_id="org/tiny",
        file_name="tiny.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        num_bytes=len(CONTENT),
        pieces=tuple(names),
        licence="Tiny Terms",
        licence_url="https://tiny.example/terms",
    )


def piece_path(model, tmp_path, number):
    return tmp_path / "site" / model.pieces[number][0] / "data" / "tiny.part"


def test_the_pieces_are_joined_in_order(model, cache):
    assert assemble(model, cache, progress=Silent()).read_bytes() == CONTENT


def test_the_second_call_needs_no_package(model, cache, tmp_path):
    first = assemble(model, cache, progress=Silent())
    piece_path(model, tmp_path, 0).unlink()
    assert assemble(model, cache, progress=Silent()) == first


@pytest.mark.parametrize("leftover", [b"", CONTENT[:20], b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_file_that_is_not_whole_is_replaced(model, cache, leftover):
    path = assemble(model, cache, progress=Silent())
    path.write_bytes(leftover)
    assert assemble(model, cache, progress=Silent()).read_bytes() == CONTENT


def test_what_a_killed_process_left_is_replaced(model, cache):
    path = cache / "models" / model.sha256[:16] / model.file_name
    path.parent.mkdir(parents=True)
    path.with_name(f".tmp-{path.name}").write_bytes(CONTENT[:9])
    assert assemble(model, cache, progress=Silent()).read_bytes() == CONTENT
    assert not list(path.parent.glob(".tmp-*"))


def test_pieces_of_another_version_are_refused_and_leave_nothing(model, cache, tmp_path):
    for content in (b"SOME and then ", b"", PIECES[0] * 9):
        piece_path(model, tmp_path, 0).write_bytes(content)
        with pytest.raises(DamagedError, match="pip install --force-reinstall tiny-model==1"):
            assemble(model, cache, progress=Silent())
        assert not list(cache.rglob("*tiny.gguf*"))


def test_a_missing_package_says_what_to_install_and_what_to_use_instead(model, cache):
    absent = replace(model, pieces=(("no_such_package_anywhere", "tiny.part"),))
    with pytest.raises(ModelMissing) as error:
        assemble(absent, cache, progress=Silent())
    for step in ("pip install tiny-model==1", "org/tiny", "make demo MODEL=PATH"):
        assert step in str(error.value)


def test_a_missing_piece_is_a_missing_package(model, cache, tmp_path):
    piece_path(model, tmp_path, 1).unlink()
    with pytest.raises(ModelMissing, match=model.pieces[1][0]):
        assemble(model, cache, progress=Silent())


def test_the_terms_are_shown_once_on_stderr(model, cache, capsys):
    assemble(model, cache, progress=Silent())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Tiny Terms" in shown.err
    assert "https://tiny.example/terms" in shown.err
    assemble(model, cache, progress=Silent())
    assert capsys.readouterr().err == ""


def test_a_full_disk_says_so_and_leaves_nothing(model, cache, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFull, match=r"tiny\.gguf"):
        assemble(model, cache, progress=Silent())
    assert not list(cache.rglob("*tiny.gguf*"))


def test_all_who_ask_at_once_get_the_whole_file(model, cache, capsys):
    with ThreadPoolExecutor(8) as pool:
        paths = pool.map(lambda _: assemble(model, cache, progress=Silent()), range(8))
        assert {path.read_bytes() for path in paths} == {CONTENT}
    assert capsys.readouterr().err.count("Tiny Terms") == 1


@pytest.mark.weights
def test_the_installed_gemma_has_the_hash_that_is_expected(cache):
    path = assemble(GEMMA_3_270M, cache, progress=Silent())
    assert sha256_of(path) == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
