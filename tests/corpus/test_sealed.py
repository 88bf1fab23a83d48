import json

import pytest

from potstill.corpus.sealed import MAX_SEALED_BYTES, read_sealed, seal_of, write_sealed
from potstill.errors import DamagedError, MissingError

SCHEMA = "potstill.test/2"
CONTENT = {"b": [1, 2], "a": {"é": "\udcff", "x": None}}


@pytest.fixture
def path(tmp_path):
    write_sealed(tmp_path / "sealed.json", SCHEMA, CONTENT)
    return tmp_path / "sealed.json"


def test_content_comes_back_and_equal_content_gives_equal_bytes(path, tmp_path):
    assert read_sealed(path, SCHEMA) == CONTENT
    write_sealed(tmp_path / "again.json", SCHEMA, dict(reversed(CONTENT.items())))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_every_flipped_bit_is_found_or_changes_nothing(path):
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_sealed(path, SCHEMA) == CONTENT
        except DamagedError as error:
            assert str(path) in str(error)


def test_every_cut_is_found(path):
    whole = path.read_bytes()
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError):
            read_sealed(path, SCHEMA)


def test_a_newer_version_is_told_from_another_kind(path):
    with pytest.raises(DamagedError, match="newer potstill"):
        read_sealed(path, "potstill.test/1")
    with pytest.raises(DamagedError, match="where 'potstill.other/1' is wanted"):
        read_sealed(path, "potstill.other/1")
    with pytest.raises(MissingError):
        read_sealed(path.with_name("nowhere.json"), SCHEMA)


@pytest.mark.parametrize(
    "sealed",
    [[], {}, {"schema": SCHEMA}, {"schema": SCHEMA, "content": [], "sha256": seal_of({})}, {"schema": 2}],
)
def test_what_is_no_sealed_file_is_refused(path, sealed):
    path.write_text(json.dumps(sealed))
    with pytest.raises(DamagedError):
        read_sealed(path, SCHEMA)


def test_a_file_that_is_far_too_large_is_not_read(path):
    with open(path, "r+b") as file:
        file.truncate(MAX_SEALED_BYTES + 1)
    with pytest.raises(DamagedError, match="larger than"):
        read_sealed(path, SCHEMA)
