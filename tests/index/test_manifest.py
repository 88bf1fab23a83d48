"""The one file that says what an index is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.corpus.sealed import seal_of
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, LockedError, MissingError, PotstillError
from potstill.index.manifest import (
    NAME,
    Manifest,
    SegmentEntry,
    read_manifest,
    set_interpolation,
    write_manifest,
)
from potstill.locks import locked

FACTS = ByteVocabulary().facts
FIRST = SegmentEntry("000001-0123abcd", 1, "ab" * 32, 3, 40)
DELETED = SegmentEntry("000002-99999999", -1, "cd" * 32, 1, 15)
MANIFEST = Manifest(
    2, (FIRST, DELETED), FACTS, "00ff", interpolation={"sparse": 0.3, "text": {"sha256": "00"}}
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    assert (MANIFEST.num_documents, MANIFEST.num_tokens) == (2, 25)
    assert MANIFEST.positive == (FIRST,)


def test_equal_manifests_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_manifest(tmp_path / name, MANIFEST)
    assert (tmp_path / "a" / NAME).read_bytes() == (tmp_path / "b" / NAME).read_bytes()


def test_a_folder_that_is_no_index_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="is no index .* potstill index build"):
        read_manifest(tmp_path)


def changed(folder: Path, schema: str | None = None, **content: object) -> None:
    """The manifest with other contents and the right sum, as someone who knows the format would write it."""
    write_manifest(folder, MANIFEST)
    sealed = json.loads((folder / NAME).read_text())
    sealed["content"] |= content
    sealed["sha256"] = seal_of(sealed["content"])
    sealed["schema"] = schema or sealed["schema"]
    (folder / NAME).write_text(json.dumps(sealed))


def test_a_newer_manifest_is_refused_and_says_so(tmp_path: Path) -> None:
    changed(tmp_path, schema="potstill.index/2")
    with pytest.raises(DamagedError, match="newer potstill.*Update") as caught:
        read_manifest(tmp_path)
    assert caught.value.exit_code == 5


ENTRY = {"name": FIRST.name, "sign": 1, "sha256": "ab" * 32, "num_documents": 3, "num_tokens": 40}


@pytest.mark.parametrize(
    "content",
    [
        {"segments": [{**ENTRY, "name": "../../etc"}]},
        {"segments": [{**ENTRY, "name": "000001-0123abcd/.."}]},
        {"segments": [{**ENTRY, "sign": 0}]},
        {"segments": [{**ENTRY, "num_tokens": -1}]},
        {"segments": [{**ENTRY, "num_tokens": 1.5}]},
        {"segments": [ENTRY, ENTRY]},
        {"segments": {}},
        {"generation": 0},
        {"generation": "1"},
        {"interpolation": [1]},
        {"more": 1},
        {"vocabulary": {"kind": "bytes", "vocab_size": 0, "fingerprint": "ab" * 32}},
    ],
    ids=str,
)
def test_a_hostile_manifest_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    changed(tmp_path, **content)
    with pytest.raises(DamagedError, match=NAME):
        read_manifest(tmp_path)


def test_flipped_bits_and_cuts_are_found(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / NAME
    whole = path.read_bytes()
    for place in range(0, len(whole) * 8, 5):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            # White space between the values is no content; nothing else may go unnoticed.
            assert read_manifest(tmp_path) == MANIFEST
        except PotstillError as error:
            assert error.exit_code == 5 and NAME in str(error)
    for size in range(0, len(whole) - 2, 3):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError, match=NAME):
            read_manifest(tmp_path)


def test_interpolation_is_kept_beside_the_index_as_a_new_generation(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(MANIFEST, interpolation=None))
    set_interpolation(tmp_path, {"sparse": 0.5})
    assert read_manifest(tmp_path) == replace(MANIFEST, generation=3, interpolation={"sparse": 0.5})
    set_interpolation(tmp_path, None)
    assert read_manifest(tmp_path).interpolation is None
    with locked(tmp_path), pytest.raises(LockedError):
        set_interpolation(tmp_path, {})


def test_interpolation_of_no_index_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        set_interpolation(tmp_path / "mistyped", {})
    assert not (tmp_path / "mistyped").exists()
