"""Vocabularies: what they do to documents and queries, and their saved copies."""

import pytest
from tokenizers import Tokenizer as Backend

from corpus.vocabularies import NAMES, TEXT, TOKENIZERS, vocabulary
from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary, as_text, load_vocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_copy_is_the_same_vocabulary(tmp_path, name):
    own = vocabulary(name)
    own.save(tmp_path / "saved")
    copy = load_vocabulary(tmp_path / "saved")
    assert copy.facts == own.facts
    assert copy.encode_query(TEXT) == own.encode_query(TEXT)
    if isinstance(copy, TokenizerVocabulary):
        assert copy.tokenizer.fingerprint == own.fingerprint
        assert copy.tokenizer.vocab_size == own.vocab_size


def test_a_second_end_of_text_survives_saving(tmp_path):
    first = vocabulary("byte-level").tokenizer
    own = TokenizerVocabulary(
        Tokenizer(Backend.from_str(first._backend.to_str()), bos_id=None, eos_ids=[3, 1])
    )
    own.save(tmp_path)
    assert load_vocabulary(tmp_path).tokenizer.fingerprint == own.fingerprint
    assert own.eos_id == 3


def test_an_altered_file_of_a_saved_vocabulary_is_named(tmp_path):
    vocabulary("byte-level").save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"fox", b"fix", 1) + b" ")
    with pytest.raises(DamagedError, match=r"tokenizer\.json"):
        load_vocabulary(tmp_path)
    with pytest.raises(MissingError):
        load_vocabulary(tmp_path / "nowhere")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_query_has_no_space_put_before_it(name):
    found = vocabulary(name)
    assert not found.bytes_of(found.encode_query("the")).startswith(b" ")
    # A space of the user's own stays.
    assert found.bytes_of(found.encode_query(" the")).startswith(b" ")


@pytest.mark.parametrize("name", ["metaspace", "byte-level with a prefix"])
def test_a_document_is_cut_as_the_tokenizer_cuts_a_text(name):
    found = vocabulary(name)
    (ids,) = found.encode_documents(["the"])
    assert ids.tolist() == found.tokenizer.encode("the")
    assert found.bytes_of(ids) == b" the"


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_text_are_cut_alike(name):
    found = vocabulary(name)
    from_bytes, from_text = found.encode_documents([TEXT.encode(), TEXT])
    assert from_bytes.tolist() == from_text.tolist()
    assert found.encode_query(TEXT.encode()) == found.encode_query(TEXT)


def test_bytes_are_their_own_tokens():
    found = ByteVocabulary()
    everything = bytes(range(256))
    (ids,) = found.encode_documents([everything])
    assert ids.tolist() == found.encode_query(everything) == list(range(256))
    assert found.bytes_of(ids) == everything
    assert found.token_text(65) == "A" and found.token_text(0xFF) == "\\xff"
    assert found.eos_id is None and found.vocab_size == 256


def test_each_byte_that_is_no_text_becomes_one_mark():
    assert as_text(b"a\xe6\x97b\xff") == "a\ufffd\ufffdb\ufffd"


@pytest.mark.parametrize("name", NAMES)
def test_half_a_character_in_a_query_is_refused(name):
    with pytest.raises(UsageError, match="surrogate"):
        vocabulary(name).encode_query("a\ud800")


def test_a_token_is_shown_as_text():
    found = vocabulary("metaspace")
    assert [found.token_text(token_id) for token_id in found.encode_query(" the é")][0] == " the"
    assert found.token_text(1 + 0xC3) == "\\xc3"


@pytest.mark.weights
def test_gemma_is_saved_and_asked_without_a_space(tmp_path):
    from potstill.errors import ModelMissing
    from potstill.hub.resolve import resolve
    from potstill.progress import Silent

    try:
        path = resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))
    own = TokenizerVocabulary(load_tokenizer(path))
    own.save(tmp_path)
    copy = load_vocabulary(tmp_path)
    assert copy.facts == own.facts and own.vocab_size == 262_144
    assert copy.tokenizer.fingerprint == own.fingerprint
    assert copy.encode_query(TEXT) == own.tokenizer.encode(TEXT)
