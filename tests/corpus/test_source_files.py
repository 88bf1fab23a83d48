import os

import pytest

from potstill.corpus.source_files import (
    find_source_files,
    looks_like_text,
    opening_problem,
    source_format,
)
from potstill.errors import MissingError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.py",
        "a/z.jsonl",
        "a/Makefile",
        "a/.hidden.txt",
        ".git/config",
        "p.png",
        "a.txt",
        "a/日 本.md",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "tree"


def names(found, folder):
    return [str(file.path.relative_to(folder)) for file in found.files]


def test_any_file_that_may_be_text_is_taken_in_order_and_hidden_ones_are_not(folder):
    found = find_source_files([folder])
    assert names(found, folder) == ["a.txt", "b.py", "a/Makefile", "a/z.jsonl", "a/日 本.md"]
    assert [(each.path.name, each.reason) for each in found.passed_over] == [
        ("p.png", "no text, by its name")
    ]
    assert all(file.path.is_absolute() and file.size == 1 and not file.is_named for file in found.files)


def test_a_file_is_read_once_where_it_was_named_first(folder):
    (folder / "a" / "link.txt").symlink_to(folder / "a.txt")
    found = find_source_files(
        [folder / "a" / "z.jsonl", folder / "a" / ".." / "b.py", folder, folder / "*.txt"]
    )
    assert names(found, folder) == ["a/z.jsonl", "b.py", "a.txt", "a/Makefile", "a/日 本.md"]
    assert [file.is_named for file in found.files][:3] == [True, True, False]


def test_pipes_and_broken_links_are_passed_over(folder):
    os.mkfifo(folder / "pipe.txt")
    (folder / "broken.txt").symlink_to(folder / "nowhere")
    reasons = {each.path.name: each.reason for each in find_source_files([folder]).passed_over}
    assert reasons["pipe.txt"] == "no ordinary file"
    assert "broken.txt" in reasons


def test_folders_that_may_not_be_read_and_links_to_folders_are_named(folder, monkeypatch):
    (folder / "link").symlink_to(folder / "a")
    (folder / "secret").mkdir()
    real = os.scandir

    def guarded(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    reasons = {each.path.name: each.reason for each in find_source_files([folder]).passed_over}
    assert (reasons["link"], reasons["secret"]) == ("a link to a folder", "Permission denied")


def test_what_became_of_a_file_that_was_found_is_told_without_waiting(folder):
    os.mkfifo(folder / "pipe")
    assert opening_problem(folder / "b.py") is None
    assert opening_problem(folder / "pipe") == opening_problem(folder / "a") == "no ordinary file"
    assert opening_problem(folder / "gone") == "No such file or directory"


def test_corpora_and_indexes_are_not_read_as_texts(folder):
    for name in (
        "corpus/corpus.json",
        "corpus/checksums.bin",
        "index/manifest.json",
        "index/segments/1/x.txt",
        "index-to-be/.lock",
        "index-to-be/.building/x",
        "index-to-be/vocabulary/x/tokenizer.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert not [
        name for name in names(find_source_files([folder]), folder) if name.startswith(("corpus", "index"))
    ]


def test_a_path_that_names_nothing_is_missing(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path / "*.txt"):
        with pytest.raises(MissingError):
            find_source_files([path])
    with pytest.raises(MissingError):
        find_source_files([tmp_path])
    with pytest.raises(MissingError):
        find_source_files([])


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        (b"", True),
        (b"x", True),
        (b"a\0b", False),
        ("日本語 été".encode(), True),
        ("text".encode("utf-16"), False),
        (b"latin-1: \xe9t\xe9\r\n", True),
        (b"\x1b[1mcolours\x1b[0m", True),
        (bytes(range(1, 32)), False),
    ],
)
def test_text_is_told_by_its_bytes(content, is_text):
    assert looks_like_text(content) == is_text


def test_a_packed_file_is_read_as_what_it_packs(tmp_path):
    told = [source_format(tmp_path / name) for name in ("a.py.gz", "a.ZST", "a.jsonl.zst", "a.c")]
    assert [(found.kind, found.compression) for found in told] == [
        ("text", "gz"),
        ("text", "zst"),
        ("jsonl", "zst"),
        ("text", "none"),
    ]
