"""Whole or not at all, whatever happens in between."""

import errno
import os
from pathlib import Path

import pytest

from potstill.errors import DamagedError, DiskFull, MissingError
from potstill.files import read_json, sha256_of, write_json, write_text, writing, writing_folder


class Killed(BaseException):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    with pytest.raises(Killed), writing(path) as file:
        file.write(b"new")
        raise Killed
    assert path.read_text() == "old" and names(path.parent) == ["a.txt"]


def test_a_full_disk_is_told_with_the_path_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=r"a\.txt.*Free some space"):
        write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "student"
    for text in ("old", "new"):
        with writing_folder(path) as folder:
            write_text(folder / "inner" / text, text)
    assert names(path / "inner") == ["new"] and names(tmp_path) == ["student"]


@pytest.mark.parametrize("num_renames", [0, 1])
def test_a_crash_at_either_rename_loses_neither_folder_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_renames: int
) -> None:
    path = tmp_path / "student"
    with writing_folder(path) as folder:
        (folder / "old").touch()
    rename, done = os.replace, []

    def replace(source: Path, target: Path) -> None:
        if len(done) == num_renames:
            raise Killed
        done.append(source)
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed), writing_folder(path) as folder:
        (folder / "new").touch()
    monkeypatch.setattr(os, "replace", rename)
    # The next write fails too, and the folder of before is still there.
    with pytest.raises(Killed), writing_folder(path):
        raise Killed
    assert names(path) == ["old"]


def test_equal_values_are_equal_bytes_and_nan_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write_json(one, {"b": 1, "a": ["é"]})
    write_json(other, {"a": ["é"], "b": 1})
    assert sha256_of(one) == sha256_of(other) and read_json(one) == {"a": ["é"], "b": 1}
    with pytest.raises(ValueError, match="NaN|nan"):
        write_json(one, float("nan"))


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_no_json_is_damaged_and_what_is_not_there_is_missing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(MissingError, match="does not exist"):
        read_json(tmp_path / "b.json")
