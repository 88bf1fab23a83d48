"""Tokenizers from folders and files, good and bad."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, processors

from potstill.errors import DamagedError, ModelMissing
from potstill.files import write_json
from potstill.tokenization.load import load_tokenizer


@pytest.fixture
def folder(tmp_path):
    backend = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text) for text in ("<s>", "</s>", "<turn>")])
    backend.save(str(tmp_path / "tokenizer.json"))
    write_json(tmp_path / "tokenizer_config.json", {"bos_token": "<s>", "eos_token": {"content": "</s>"}})
    return tmp_path


def test_bos_and_eos_come_from_the_tokenizers_own_configuration(folder):
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (2, (3,))


def test_ends_that_only_generation_knows_come_after_the_tokenizers_own(folder):
    write_json(folder / "generation_config.json", {"eos_token_id": [4, 3]})
    write_json(folder / "config.json", {"eos_token_id": 3})
    assert load_tokenizer(folder).eos_ids == (3, 4)


def test_a_chat_template_in_a_file_of_its_own_is_kept(folder, tmp_path):
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    load_tokenizer(folder).save(tmp_path / "copy")
    assert "{{ messages }}" in (tmp_path / "copy" / "tokenizer_config.json").read_text()


def test_truncation_in_a_file_does_not_cut_texts(folder):
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(2)
    backend.enable_padding(length=9)
    backend.save(str(folder / "tokenizer.json"))
    assert load_tokenizer(folder).encode("abab") == [0, 1, 0, 1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": {"type": "BPE"}}', b"\xff\xfe"])
def test_a_damaged_tokenizer_is_named(folder, content):
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"tokenizer\.json"):
        load_tokenizer(folder)


def test_a_damaged_configuration_is_named(folder):
    (folder / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(DamagedError, match=r"tokenizer_config\.json"):
        load_tokenizer(folder)


def test_a_template_that_is_no_text_is_named(folder):
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedError, match=r"chat_template\.jinja is no UTF-8 text"):
        load_tokenizer(folder)


def test_ends_that_are_no_ids_are_passed_over(folder):
    write_json(folder / "generation_config.json", {"eos_token_id": [True, -1, 10**20, 4]})
    assert load_tokenizer(folder).eos_ids == (3, 4)


def test_a_folder_without_a_tokenizer_says_what_it_needs(tmp_path):
    with pytest.raises(ModelMissing, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_file_that_is_not_there_is_a_missing_model(tmp_path):
    with pytest.raises(ModelMissing, match=r"none\.gguf"):
        load_tokenizer(tmp_path / "none.gguf")


def test_a_token_that_is_named_and_never_put_before_a_text_is_no_bos(folder):
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = processors.ByteLevel()
    backend.save(str(folder / "tokenizer.json"))
    assert load_tokenizer(folder).bos_id is None
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    backend.save(str(folder / "tokenizer.json"))
    assert load_tokenizer(folder).bos_id == 2
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>", "add_bos_token": False})
    assert load_tokenizer(folder).bos_id is None
