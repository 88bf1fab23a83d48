"""Damage is found: by `verify` all of it, by a query before a wrong answer."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.small_texts import VOCABULARIES, small_text, write_texts
from potstill.corpus.checksums import write_checksums
from potstill.corpus.sealed import seal_of
from potstill.errors import PotstillError
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.manifest import read_manifest
from potstill.index.reader import Index
from potstill.index.verify import verify_index

SETTINGS = BuildSettings(64 << 20)
NUM_FLIPS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two positive segments and a negative one, with files of several blocks."""
    home, chance = tmp_path_factory.mktemp("whole"), random.Random(1)
    many = [b" ".join(small_text(chance) for _ in range(40)) for _ in range(30)]
    texts = write_texts(home / "texts", many)
    more = write_texts(home / "more", [small_text(chance) for _ in range(6)])
    build_index(texts, home / "index", VOCABULARIES["lowercase"], SETTINGS)
    add(home / "index", more, SETTINGS)
    delete(home / "index", documents=[2, 3, 7, 31], memory_bytes=SETTINGS.memory_bytes)
    return home / "index"


def problems(index: Path) -> list[str]:
    return [finding.problem for finding in verify_index(index) if finding.problem]


def files_of(index: Path) -> list[Path]:
    return [
        path.relative_to(index)
        for path in sorted(index.rglob("*"))
        if path.is_file() and path.name != ".lock"
    ]


def flips(size: int, chance: random.Random, count: int) -> Iterator[int]:
    yield from (chance.randrange(size * 8) for _ in range(count))


def check_flips(whole: Path, tmp_path: Path, count: int) -> None:
    index, chance = tmp_path / "index", random.Random(9)
    shutil.copytree(whole, index)
    with Index.open(index) as opened:
        asked = [opened.ids_of(text) for text in ("the cat", "on a", "dog ran to", "é")]
        wanted = [opened.count(ids) for ids in asked]
    for name in files_of(index):
        path = index / name
        content = path.read_bytes()
        for place in flips(len(content), chance, count):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            is_json_space = path.suffix == ".json" and answers_or_problem(index, asked) == wanted
            if not is_json_space:
                try:
                    assert problems(index), (name, place)
                except PotstillError as error:
                    assert error.exit_code == 5, (name, place)
            answer = answers_or_problem(index, asked)
            assert answer == wanted or isinstance(answer, PotstillError), (name, place)
        path.write_bytes(content)
    assert not problems(index)


def answers_or_problem(index: Path, asked: list[list[int]]) -> list[int] | PotstillError:
    try:
        with Index.open(index) as opened:
            return [opened.count(ids) for ids in asked]
    except PotstillError as error:
        assert error.exit_code in (4, 5), error
        return error


def test_a_whole_index_has_no_problem_and_every_file_is_looked_at(whole: Path) -> None:
    findings = verify_index(whole)
    assert not [finding for finding in findings if finding.problem]
    looked_at = {finding.path.name for finding in findings if finding.num_bytes}
    assert {"manifest.json", "segment.json", "tokens.bin", "suffixes.bin", "bigram_ranks.bin"} <= looked_at


@pytest.mark.slow
def test_flipped_bits_are_found_and_never_counted(whole: Path, tmp_path: Path) -> None:
    check_flips(whole, tmp_path, NUM_FLIPS)


@pytest.mark.soak
def test_a_thousand_flipped_bits_a_file_are_found_and_never_counted(whole: Path, tmp_path: Path) -> None:
    check_flips(whole, tmp_path, 1000)


def test_torn_files_are_told_with_file_and_byte(whole: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(whole, index)
    for name in files_of(index):
        path = index / name
        content = path.read_bytes()
        if path.suffix == ".json" or "vocabulary" in name.parts:
            continue
        for size in {0, len(content) - 1, *range(0, len(content), 4096)} - {len(content)}:
            path.write_bytes(content[:size])
            told = problems(index)[0]
            assert path.name in told and f"byte {size:,}" in told, (name, size)
            assert isinstance(answers_or_problem(index, [[1]]), PotstillError)
        path.write_bytes(content + b"\0")
        assert any(path.name in told for told in problems(index))
        path.unlink()
        assert any(path.name in told for told in problems(index))
        path.write_bytes(content)


def reseal(folder: Path) -> None:
    """Give altered files the right sums: what someone would do who knows the format."""
    path = folder / "segment.json"
    sealed = json.loads(path.read_text())
    checked = write_checksums(folder, sorted(sealed["content"]["files"]))
    sealed["content"] |= {"files": checked.files, "checksums_crc32c": list(checked.crc32c)}
    sealed["sha256"] = seal_of(sealed["content"])
    path.write_text(json.dumps(sealed, indent=1, sort_keys=True) + "\n")


def reseal_index(index: Path, name: str) -> None:
    from potstill.files import sha256_of

    reseal(index / "segments" / name)
    path = index / "manifest.json"
    sealed = json.loads(path.read_text())
    for entry in sealed["content"]["segments"]:
        if entry["name"] == name:
            entry["sha256"] = sha256_of(index / "segments" / name / "segment.json")
    sealed["sha256"] = seal_of(sealed["content"])
    path.write_text(json.dumps(sealed))


@pytest.mark.parametrize(
    "name",
    ["suffixes.bin", "tokens.bin", "documents.bin", "unigrams.bin", "bigram_rows.bin", "bigram_seconds.bin",
     "bigram_ranks.bin"],
)  # fmt: skip
def test_files_with_right_sums_that_contradict_each_other_are_found(
    whole: Path, tmp_path: Path, name: str
) -> None:
    index = tmp_path / "index"
    shutil.copytree(whole, index)
    segment = read_manifest(index).segments[0].name
    path = index / "segments" / segment / name
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    # In documents.bin only where documents begin follows from the other files.
    place = len(content) // 48 * 24
    content[place : place + 3] = content[place + 3 : place + 6][::-1] ^ 3
    path.write_bytes(content.tobytes())
    reseal_index(index, segment)
    assert problems(index)
    answer = answers_or_problem(index, [[5], [5, 6], [7, 8, 9]])
    assert isinstance(answer, list | PotstillError)


def test_a_negative_segment_of_other_documents_is_found(whole: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(whole, index)
    entry = read_manifest(index).segments[-1]
    path = index / "segments" / entry.name / "segment.json"
    sealed = json.loads(path.read_text())
    sealed["content"]["deletes"][0]["first"] += 3
    path.write_text(json.dumps(sealed))
    reseal_index(index, entry.name)
    assert any("tokens.bin" in told for told in problems(index))
