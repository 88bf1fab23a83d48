"""What a hub lists is checked before anything is fetched or written."""

import shutil
from collections import namedtuple

import pytest

from potstill.errors import DamagedError, DiskFull, ModelMissing
from potstill.hub.listing import MAX_FILES, HubModel, check_count, check_room, checked_file, wanted_files

SHA = "ab" * 32


@pytest.mark.parametrize(
    "name",
    [
        "../x.json",
        "/etc/x.json",
        "a/../b.json",
        "a//b.json",
        "./x.json",
        "..",
        "",
        "a\\b.json",
        "a\nb.json",
        7,
    ],
)
def test_a_name_that_leads_out_of_a_folder_is_refused(name):
    with pytest.raises(DamagedError, match="no name of a file in a folder"):
        checked_file("org/name", name, 1, SHA)


@pytest.mark.parametrize("num_bytes", [-1, 1 << 63, 1.5, "9", None, True])
def test_an_absurd_size_is_refused(num_bytes):
    with pytest.raises(DamagedError, match="bytes"):
        checked_file("org/name", "x.json", num_bytes, SHA)


def test_a_hash_is_read_in_either_case_and_what_is_none_is_none():
    assert checked_file("a/b", "x.json", 1, SHA.upper()).sha256 == SHA
    assert checked_file("a/b", "x.json", 1, "0xzz").sha256 is None
    assert checked_file("a/b", "x.json", 1, None).sha256 is None


def test_more_files_than_a_model_has_are_refused():
    check_count("a/b", MAX_FILES)
    with pytest.raises(DamagedError, match="files"):
        check_count("a/b", MAX_FILES + 1)


def test_weights_vocabularies_and_texts_are_wanted_and_nothing_that_runs():
    names = ["config.json", "model.safetensors", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.json"]
    names += ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "README.md"]
    others = ["modeling.py", "pytorch_model.bin", "onnx/model.onnx", "2_Dense/config.json", "1_Pooling/x.py"]
    files = [checked_file("a/b", name, 1, SHA) for name in [*names, *others]]
    assert [file.name for file in wanted_files(HubModel("a/b", "main", None), files)] == names


def test_a_choice_of_files_is_shown_as_it_is_written():
    files = [checked_file("a/b", name, 1, SHA) for name in ("q4.gguf", "q8.gguf")]
    with pytest.raises(ModelMissing, match="ms://a/b/q4.gguf, ms://a/b/q8.gguf"):
        wanted_files(HubModel("a/b", "master", None), files, "ms://")


def test_a_disk_with_too_little_room_is_told_before(tmp_path, monkeypatch):
    check_room("a/b", 1, tmp_path / "not" / "there", "HF_HOME")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(10))
    with pytest.raises(DiskFull, match=r"a/b needs .* set HF_HOME"):
        check_room("a/b", 11, tmp_path / "not" / "there", "HF_HOME")
