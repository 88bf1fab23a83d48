"""What a build takes is told before it is begun, and a full disk is one line with the bytes needed."""

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from index.small_texts import VOCABULARIES, contents, small_text, write_texts
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DiskFull
from potstill.index import room, segment_build
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add
from potstill.index.manifest import read_manifest
from potstill.index.merge import merge_index
from potstill.index.parts import plan_parts
from potstill.index.reader import Index
from potstill.index.room import expect_build
from small_disk import small_disk_at

BYTES = ByteVocabulary()
SETTINGS = BuildSettings(64 << 20)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    chance = random.Random(1)
    write_texts(tmp_path / "texts", [b" ".join(small_text(chance) for _ in range(50)) for _ in range(20)])
    return tmp_path / "texts"


def test_what_is_expected_is_less_than_what_an_index_takes(texts: Path, tmp_path: Path) -> None:
    for name, vocabulary in VOCABULARIES.items():
        index = tmp_path / name
        build_index([texts], index, vocabulary, SETTINGS)
        taken = sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
        expected = expect_build([texts], vocabulary, 1)
        assert taken / 20 < expected.least_bytes < taken
        assert 0 < expected.seconds < 60


def test_a_build_that_cannot_fit_is_refused_before_anything_is_written(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    build_index([texts / "text-000.txt"], index, BYTES, SETTINGS)
    before = contents(index)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(1000, 990, 10))
    with pytest.raises(DiskFull, match=r"takes at least [\d,]+ bytes and 10 are free.*run the same command"):
        build_index([texts], index, BYTES, SETTINGS)
    assert not (index / ".building").exists()
    assert contents(index) == before
    monkeypatch.undo()
    assert build_index([texts], index, BYTES, SETTINGS).generation == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", "3m") as folder:
        yield folder


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_disk_that_is_really_full_ends_in_one_line_and_the_same_command_completes(
    texts: Path, tmp_path: Path, small_disk: Path, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_parts:
        monkeypatch.setattr(segment_build, "plan", lambda borders, *_: plan_parts(borders, 9000))
    index, ballast, wanted = small_disk / "index", small_disk / "ballast", tmp_path / "wanted"
    for folder in (index, wanted):
        build_index([texts / "text-000.txt"], folder, BYTES, SETTINGS)
    build_index([texts], wanted, BYTES, SETTINGS)
    room_left, refused = 16 << 10, set[str]()
    while True:
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - room_left)))
        try:
            build_index([texts], index, BYTES, SETTINGS)
            break
        except DiskFull as error:
            assert re.search(r"[\d,]+ bytes|No room left", str(error)) and "same command" in str(error)
            refused.add(re.sub(r"[\d,]+", "", str(error)))
            assert not list(index.rglob(".tmp-*"))
            assert read_manifest(index).generation == 1
            with Index.open(index) as opened:
                assert opened.num_documents == 1 and opened.count(b"a") > 0
        finally:
            ballast.unlink()
        room_left += 24 << 10
    assert len(refused) >= 2
    assert contents(index) == contents(wanted)


def test_a_merge_and_an_addition_without_room_leave_the_index(texts: Path, small_disk: Path) -> None:
    index, ballast = small_disk / "index", small_disk / "ballast"
    build_index([texts / "text-000.txt"], index, BYTES, SETTINGS)
    add(index, [texts / "text-001.txt"], SETTINGS)
    before = contents(index)
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - (16 << 10)))
    with pytest.raises(DiskFull):
        merge_index(index, SETTINGS.sort)
    with pytest.raises(DiskFull):
        add(index, [texts], SETTINGS)
    kept = {name: content for name, content in contents(index).items() if not name.startswith(".building")}
    assert kept == before
    ballast.unlink()
    merge_index(index, SETTINGS.sort)
    assert len(read_manifest(index).segments) == 1
