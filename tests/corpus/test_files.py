from pathlib import Path

import pytest

from potstill.corpus.files import find_files
from potstill.errors import MissingError, UsageError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.txt",
        "a/z.jsonl",
        "a/c.md.gz",
        "a/.hidden.txt",
        ".git/config.txt",
        "picture.png",
        "a.txt",
    ):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "corpus"


def _names(folder, files):
    return [str(file.relative_to(folder)) for file in files]


def test_a_folder_is_searched_to_any_depth_in_order_and_hidden_names_are_passed_over(folder):
    found = find_files([folder])
    assert _names(folder, found.files) == ["a.txt", "b.txt", "a/c.md.gz", "a/z.jsonl"]
    assert _names(folder, found.left_out) == ["picture.png"]


def test_a_file_named_twice_is_read_once_where_it_was_named_first(folder):
    found = find_files([folder / "b.txt", folder, folder / "a" / ".." / "b.txt"])
    assert _names(folder, found.files) == ["b.txt", "a.txt", "a/c.md.gz", "a/z.jsonl"]


def test_patterns_match_files_and_folders(folder):
    assert _names(folder, find_files([folder / "*.txt"]).files) == ["a.txt", "b.txt"]
    assert _names(folder, find_files([folder / "**" / "*.jsonl"]).files) == ["a/z.jsonl"]


def test_a_name_with_brackets_that_exists_is_that_file(tmp_path):
    path = tmp_path / "notes[1].txt"
    path.write_text("x")
    assert find_files([path]).files == (path,)


def test_what_names_nothing_is_said(folder, tmp_path):
    with pytest.raises(MissingError, match="does not exist"):
        find_files([folder / "none.txt"])
    with pytest.raises(MissingError, match="No file matches"):
        find_files([folder / "*.parquet"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match="holds no text"):
        find_files([folder, tmp_path / "empty"])


def test_a_file_named_directly_needs_a_reader(folder):
    with pytest.raises(UsageError, match=r"picture\.png has a name that no reader takes"):
        find_files([Path(folder / "picture.png")])
